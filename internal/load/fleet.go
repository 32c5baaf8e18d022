package load

import (
	"context"
	"sync"
)

// fleet carries the bytes of devices.
type fleet interface {
	// play runs a phase with at most width devices unsettled at once, and
	// returns when every device has settled, or with ctx's error.
	play(ctx context.Context, p phase, width int) error
	// cut ends every connection at once with a reset.
	cut()
	// close ends every connection in order.
	close()
}

// shard returns the devices that driver i of n has.
func shard(devices []*device, i, n int) []*device {
	var own []*device
	for ; i < len(devices); i += n {
		own = append(own, devices[i])
	}
	return own
}

// together runs f for 0 to n-1 at once and returns the first error.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
