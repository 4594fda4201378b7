package gguf

import (
	"fmt"
)

// FormatError says what is wrong with a file, and where.
type FormatError struct {
	File    string // the name given to Open or NewReader
	Offset  int64  // in bytes from the start of the file; -1 where the fault has no place, as with a missing key
	Field   string // the field, key or tensor concerned
	Problem string // what was found and what was expected
}

func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s: %s", e.File, e.Field, e.Problem)
	}
	return fmt.Sprintf("%s: at byte %d: %s: %s", e.File, e.Offset, e.Field, e.Problem)
}

// quote shows a name from a file on one line, and not at whatever length the file chose.
func quote(s string) string {
	const longest = 80
	if len(s) > longest {
		return fmt.Sprintf("%q...", s[:longest])
	}
	return fmt.Sprintf("%q", s)
}
