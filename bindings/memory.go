package bindings

import (
	"fmt"
	"sync"
)

// Memory is memory outside Go's heap, zeroed, for weights that don't lie in a mapped file.
type Memory struct {
	mu   sync.Mutex
	data []byte
}

// AllocMemory allocates n bytes.
func AllocMemory(n int) (*Memory, error) {
	if n <= 0 {
		return nil, fmt.Errorf("allocate memory: %d bytes, expected 1 or more", n)
	}
	data, err := mapMemory(n)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", n, err)
	}
	return &Memory{data: data}, nil
}

// Bytes returns the memory, nil once it is closed.
func (m *Memory) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data
}

// Close gives the memory back; what Bytes returned must no longer be used, and the weights over it must be closed.
// Closing twice is harmless.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		return nil
	}
	err := unmapMemory(m.data)
	m.data = nil
	return err
}
