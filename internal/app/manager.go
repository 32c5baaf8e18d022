package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/linegate/linegate/internal/systemd"
)

// tell tells the service manager, if there is one.
func (a *App) tell(what ...string) {
	if err := a.manager.Tell(what...); err != nil {
		a.log.Warn("service manager not told", slog.Any("error", err))
	}
}

// tellOfReload tells it of a reload, which has no place behind STOPPING.
func (a *App) tellOfReload(what ...string) {
	a.telling.Lock()
	defer a.telling.Unlock()
	if !a.draining.Load() {
		a.tell(what...)
	}
}

// tellStopping tells it that the gateway is draining; no reload is told of any more.
func (a *App) tellStopping() {
	a.telling.Lock()
	defer a.telling.Unlock()
	a.tell(systemd.Stopping, a.status())
}

// status is the state of the gateway in a line for people.
func (a *App) status() string {
	state := "serving, sessions: %d"
	switch health := a.health(); {
	case health.Draining:
		state = "draining, sessions left: %d"
	case !health.Ready():
		state = "not ready, sessions: %d"
	}
	if a.refused.Load() {
		state += ", last reload refused"
	}
	return systemd.Status(fmt.Sprintf(state, a.sessions.Open()))
}

// statusInterval is how often the manager is told the state, where the watchdog
// does not ask more often.
const statusInterval = 10 * time.Second

// keepTelling tells the manager how things stand until ctx is done, and with it
// the sign of life that the watchdog waits for: none while the process is stuck,
// so that it is started anew.
func (a *App) keepTelling(ctx context.Context) {
	interval := statusInterval
	if dog := a.manager.Watchdog(); dog > 0 {
		interval = min(interval, dog/2)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		look, done := context.WithTimeout(ctx, interval/2)
		err := a.liveness.check(look)
		done()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.Error("stuck: the watchdog gets no sign of life", slog.Any("error", err))
		case a.manager.Watchdog() > 0:
			a.tell(systemd.Alive, a.status())
		default:
			a.tell(a.status())
		}
	}
}
