package bindings

import (
	"fmt"
	"unsafe"
)

// Device is a pool of threads and an instruction set.
type Device struct{ handle }

// DeviceOptions ask for a device. The zero value is the best one.
type DeviceOptions struct {
	Threads    int    // 0: as many as the processors that this process may use
	SpinMicros int    // how long an idle worker spins before it sleeps; 0: the engine's choice
	ISA        string // one of Library.ISAs; "": the best
}

// DeviceInfo describes a device.
type DeviceInfo struct {
	Threads int
	ISA     string
	CPU     string // the processor's own name
}

// NewDevice starts a pool of threads.
func (l *Library) NewDevice(o DeviceOptions) (*Device, error) {
	const call = "create device"
	threads, err := toUint32(call, "threads", o.Threads)
	if err != nil {
		return nil, err
	}
	spin, err := toUint32(call, "spin microseconds", o.SpinMicros)
	if err != nil {
		return nil, err
	}
	c := deviceOptions{Size: uint32(unsafe.Sizeof(deviceOptions{})), Threads: threads, SpinMicros: spin}
	if len(o.ISA) >= len(c.ISA) {
		return nil, fmt.Errorf("%s: instruction set %q is too long a name", call, o.ISA)
	}
	copy(c.ISA[:], o.ISA)
	d := &Device{handle{lib: l, free: l.fn.deviceFree}}
	e := newErrorRecord()
	if err := e.result(call, l.fn.deviceCreate(&c, &d.ptr, e)); err != nil {
		return nil, err
	}
	return d, nil
}

// Describe tells what the device is.
func (d *Device) Describe() (info DeviceInfo, err error) {
	const call = "describe device"
	err = d.use(call, func(ptr uintptr) error {
		c := deviceInfo{Size: uint32(unsafe.Sizeof(deviceInfo{}))}
		e := newErrorRecord()
		if err := e.result(call, d.lib.fn.deviceDescribe(ptr, &c, e)); err != nil {
			return err
		}
		info = DeviceInfo{Threads: int(c.Threads), ISA: cString(c.ISA[:]), CPU: cString(c.CPU[:])}
		return nil
	})
	return info, err
}

// Ceilings are what no product on a device can exceed, measured: operations per second of all its threads at once, a
// multiply-add counted as two. 0 stands for instructions that there aren't.
type Ceilings struct {
	F32, BF16, Int8 float64
	Read            float64 // bytes per second from memory; 0: not measured
	Handover        float64 // seconds in which a cache line goes from one thread to the next; 0: there is but one thread
}

// Ceilings measures the ceilings, the one of reading over a buffer of readBytes, or not if that is 0. It takes some
// hundredths of a second, in which programs on the device wait.
func (d *Device) Ceilings(readBytes int) (ceilings Ceilings, err error) {
	const call = "measure ceilings"
	if readBytes < 0 {
		return ceilings, fmt.Errorf("%s: %d bytes to read, expected 0 or more", call, readBytes)
	}
	err = d.use(call, func(ptr uintptr) error {
		c := ceilingsRecord{Size: uint32(unsafe.Sizeof(ceilingsRecord{}))}
		e := newErrorRecord()
		if err := e.result(call, d.lib.fn.deviceCeilings(ptr, uint64(readBytes), &c, e)); err != nil {
			return err
		}
		ceilings = Ceilings{F32: c.F32, BF16: c.BF16, Int8: c.Int8, Read: c.Read, Handover: c.Handover}
		return nil
	})
	return ceilings, err
}

func toUint32(call, what string, n int) (uint32, error) {
	if n < 0 || int64(n) > 1<<31-1 {
		return 0, fmt.Errorf("%s: %s is %d, expected 0 or more", call, what, n)
	}
	return uint32(n), nil
}
