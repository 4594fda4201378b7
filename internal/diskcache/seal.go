package diskcache

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"sync"
	"sync/atomic"
)

// An entry's file is a head of 64 bytes (magic, size of the data, key, zeros), the data, and a tail of little-endian
// CRC-32Cs: of each piece of the data, then of the head and those. The data lies at a multiple of 64 bytes for those who map
// it. The sums tell what accidents do to a file; who may write to the folder is trusted.
const (
	magic     = "clipgo\x00\x01"
	headBytes = 64
	piece     = 1 << 20 // small enough to spread over cores
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func pieces(n int) int { return (n + piece - 1) / piece }

func sealedSize(n int) int64 { return headBytes + int64(n) + 4*int64(pieces(n)) + 4 }

// seal returns what stands before and after data in its file.
func seal(data []byte, k Key) (head, tail []byte) {
	head = make([]byte, 0, headBytes)
	head = append(head, magic...)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(data)))
	head = append(head, k[:]...)
	head = head[:headBytes]
	for _, sum := range sums(data) {
		tail = binary.LittleEndian.AppendUint32(tail, sum)
	}
	last := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, tail)
	return head, binary.LittleEndian.AppendUint32(tail, last)
}

// unseal returns the data in an entry's file if all of it is as it was written under k.
func unseal(blob []byte, k Key) (data []byte, ok bool) {
	if len(blob) < headBytes+4 {
		return nil, false
	}
	n := binary.LittleEndian.Uint64(blob[len(magic):])
	if n > uint64(len(blob)) || sealedSize(int(n)) != int64(len(blob)) {
		return nil, false
	}
	data = blob[headBytes : headBytes+n : headBytes+n]
	head, tail := seal(data, k)
	return data, bytes.Equal(head, blob[:headBytes]) && bytes.Equal(tail, blob[headBytes+n:])
}

// sums returns the sum of each piece, computed on all cores.
func sums(data []byte) []uint32 {
	out := make([]uint32, pieces(len(data)))
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(out)) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(out); i = int(next.Add(1)) - 1 {
				out[i] = crc32.Checksum(data[i*piece:min((i+1)*piece, len(data))], castagnoli)
			}
		})
	}
	running.Wait()
	return out
}
