package load

import "context"

// pollers drives plain TCP: a few goroutines, each with an epoll of its own and
// one read and one write for a batch, so that the generator is not what is
// measured.
type pollers struct {
	all []*poller
}

func newPollers(p *plan, devices []*device, tallies []*tally) (fleet, error) {
	f := new(pollers)
	for i, t := range tallies {
		w, err := newPoller(p, shard(devices, i, len(tallies)), t)
		if err != nil {
			f.close()
			return nil, err
		}
		f.all = append(f.all, w)
	}
	return f, nil
}

func (f *pollers) play(ctx context.Context, p phase, width int) error {
	each := max(1, width/len(f.all))
	return together(len(f.all), func(i int) error { return f.all[i].play(ctx, p, each) })
}

func (f *pollers) cut() {
	_ = together(len(f.all), func(i int) error { f.all[i].cut(); return nil })
}

func (f *pollers) close() {
	for _, w := range f.all {
		w.close()
	}
}
