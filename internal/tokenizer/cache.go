package tokenizer

import (
	"hash/maphash"
	"sync/atomic"
)

// wordCache remembers the ids of words. Every slot holds the last word that fell into it, so that the cache is bounded
// and needs no lock: an entry never changes once it is stored.
type wordCache struct {
	seed  maphash.Seed
	slots [cacheSlots]atomic.Pointer[cacheEntry]
}

type cacheEntry struct {
	word string
	ids  []int32
}

const (
	cacheSlots   = 1 << 14
	maxCacheWord = 48 // bytes; longer words rarely come back
)

func newWordCache() *wordCache { return &wordCache{seed: maphash.MakeSeed()} }

// encode appends the ids that m has for word to dst.
func (c *wordCache) encode(m model, dst []int32, word string) []int32 {
	if len(word) > maxCacheWord {
		return m.encode(dst, word)
	}
	slot := &c.slots[maphash.String(c.seed, word)%cacheSlots]
	if e := slot.Load(); e != nil && e.word == word {
		return append(dst, e.ids...)
	}
	before := len(dst)
	dst = m.encode(dst, word)
	// The copies let go of the text that word is a part of, and of dst.
	slot.Store(&cacheEntry{word: string([]byte(word)), ids: append([]int32(nil), dst[before:]...)})
	return dst
}
