package hub

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Name is what people call a model: ORG/NAME[@REVISION][:VARIANT]. What variants there are is not the Hub's to say.
type Name struct {
	Repo     string // ORG/NAME
	Revision string // a branch, a tag or a commit; never empty
	Variant  string // "": none was given
}

// DefaultRevision is the branch of a name without a revision.
const DefaultRevision = "main"

// ParseName takes a name apart. It may begin with hf:// or be the address of the model's page.
func ParseName(s string) (Name, error) {
	repo := s
	for _, prefix := range []string{"hf://", "https://huggingface.co/", "https://hf.co/"} {
		repo = strings.TrimPrefix(repo, prefix)
	}
	n := Name{Revision: DefaultRevision}
	var hasVariant, hasRevision bool
	repo, n.Variant, hasVariant = strings.Cut(repo, ":")
	repo, revision, hasRevision := strings.Cut(repo, "@")
	if hasRevision {
		n.Revision = revision
	}
	n.Repo = repo
	if err := checkRepo(repo); err != nil {
		return Name{}, fmt.Errorf("%.100q is no model of the Hub: %w; expected ORG/NAME[@REVISION][:TYPE]", s, err)
	}
	if !validRevision(n.Revision) {
		return Name{}, fmt.Errorf("%.100q: %.100q is no revision, expected a branch, a tag or a commit", s, n.Revision)
	}
	if hasVariant && n.Variant == "" || strings.ContainsAny(n.Variant, "/\\:@") {
		return Name{}, fmt.Errorf("%.100q: %.100q after the colon is neither a type nor a file; expected ORG/NAME[@REVISION][:TYPE]", s, n.Variant)
	}
	return n, nil
}

// String is the name in its shortest form.
func (n Name) String() string {
	s := n.Repo
	if n.Revision != DefaultRevision {
		s += "@" + n.Revision
	}
	if n.Variant != "" {
		s += ":" + n.Variant
	}
	return s
}

var repoPart = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_.-]{0,94}[0-9A-Za-z_])?$`)

// checkRepo has the Hub's own rules: two hyphens would make the cache's folder names ambiguous.
func checkRepo(repo string) error {
	org, name, found := strings.Cut(repo, "/")
	switch {
	case !found || strings.Contains(name, "/"):
		return fmt.Errorf("it has %d slashes, expected one", strings.Count(repo, "/"))
	case !repoPart.MatchString(org) || !repoPart.MatchString(name) || strings.HasSuffix(name, ".git"):
		return fmt.Errorf("%.100q has other characters than letters, digits, hyphens, dots and underscores, or is too long", repo)
	case strings.Contains(repo, "--") || strings.Contains(repo, ".."):
		return fmt.Errorf("it has two hyphens or dots beside each other")
	}
	return nil
}

var revisionPattern = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_./+=#-]{0,199}$`)

// validRevision admits what git takes for a branch or a tag, and what can be a path inside refs/.
func validRevision(r string) bool {
	return revisionPattern.MatchString(r) && !strings.Contains(r, "..") && !strings.Contains(r, "//") &&
		!strings.HasSuffix(r, "/") && filepath.IsLocal(filepath.FromSlash(r))
}

var (
	commitPattern = regexp.MustCompile(`^[0-9A-Fa-f]{5,64}$`)
	wholePattern  = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// isCommit says whether s can name a commit, and so a folder of the cache.
func isCommit(s string) bool { return commitPattern.MatchString(s) }

// isWholeCommit says whether a revision is a commit that needn't be looked up.
func isWholeCommit(revision string) bool { return wholePattern.MatchString(revision) }
