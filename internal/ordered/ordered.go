// Package ordered computes pieces on several cores and hands them on in their order.
package ordered

import (
	"context"
	"runtime"
	"sync"
)

// Map calls produce(ctx, worker, i) for i from 0 to n-1 on up to workers goroutines (0: one for each core) and consume with
// the results, in order, on the caller's. At most two results for each worker wait to be consumed, so that memory stays
// bounded. worker, from 0 to workers-1, is for scratch space: one goroutine at a time has it. The first error ends all.
func Map[T any](ctx context.Context, n, workers int, produce func(ctx context.Context, worker, i int) (T, error), consume func(i int, v T) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = max(1, min(workers, n))
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)

	type result struct {
		v   T
		err error
	}
	// A slot is a promise of one result; the slots' queue keeps the order.
	type slot struct {
		i    int
		done chan result
	}
	queue, work := make(chan slot, 2*workers), make(chan slot)
	running.Add(1)
	go func() {
		defer running.Done()
		defer close(work)
		defer close(queue)
		for i := range n {
			s := slot{i, make(chan result, 1)}
			select {
			case queue <- s:
			case <-ctx.Done():
				return
			}
			select {
			case work <- s:
			case <-ctx.Done():
				s.done <- result{err: context.Cause(ctx)}
				return
			}
		}
	}()
	for worker := range workers {
		running.Add(1)
		go func() {
			defer running.Done()
			for s := range work {
				v, err := produce(ctx, worker, s.i)
				s.done <- result{v, err}
			}
		}()
	}
	for s := range queue {
		r := <-s.done
		if r.err == nil {
			r.err = consume(s.i, r.v)
		}
		if r.err != nil {
			cancel(r.err)
			return r.err
		}
	}
	return context.Cause(ctx)
}
