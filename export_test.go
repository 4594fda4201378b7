package clipgo

import "github.com/clipgo/clipgo/internal/engine"

// KeepAllPanels makes caches keep the packed weights of small models too, until the returned function is called.
func KeepAllPanels() (restore func()) {
	was := leastPanels
	leastPanels = 0
	return func() { leastPanels = was }
}

// LimitArena refuses runs that need more than most(what is asked) bytes, and returns through asked what was.
func (m *Model) LimitArena(most int64, asked func(arena int64, granted bool)) {
	m.ask = func(what string, need engine.Need) error {
		if need.Packed > 0 {
			return nil
		}
		asked(need.Arena, need.Arena <= most)
		if need.Arena > most {
			return &MemoryError{What: what, Need: need.Arena, Limit: most}
		}
		return nil
	}
}
