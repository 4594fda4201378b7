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

// cacheEntry holds a word with its ids in one piece without pointers, which is little work for the garbage collector.
type cacheEntry struct {
	bytes, count uint8
	word         [maxCacheWord]byte
	ids          [maxCacheIDs]int32
}

const (
	cacheSlots   = 1 << 14
	maxCacheWord = 46 // bytes; longer words rarely come back
	maxCacheIDs  = 20
)

func newWordCache() *wordCache { return &wordCache{seed: maphash.MakeSeed()} }

// encode appends the ids that m has for word to dst.
func (c *wordCache) encode(m model, dst []int32, word string) []int32 {
	if len(word) > maxCacheWord {
		return m.encode(dst, word)
	}
	slot := &c.slots[maphash.String(c.seed, word)%cacheSlots]
	if e := slot.Load(); e != nil && string(e.word[:e.bytes]) == word {
		return append(dst, e.ids[:e.count]...)
	}
	before := len(dst)
	dst = m.encode(dst, word)
	if ids := dst[before:]; len(ids) <= maxCacheIDs {
		e := &cacheEntry{bytes: uint8(len(word)), count: uint8(len(ids))}
		copy(e.word[:], word)
		copy(e.ids[:], ids)
		slot.Store(e)
	}
	return dst
}
