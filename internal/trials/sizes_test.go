//go:build !trials

package trials

import "time"

// sizes are those of an ordinary run, which may be under the race detector and
// beside other tests.
func sizes() trialSizes {
	return trialSizes{
		rotation: rotationSize{
			rate: 100, guessEvery: 10, rounds: 1, round: 2 * time.Second,
			every: 250 * time.Millisecond, cooldown: 100 * time.Millisecond,
		},
		guesses: guessesSize{
			guesses: 1500, warmUp: 500, strangers: 300, waiting: 200, rate: 1000, devices: 20,
			cooldown: 500 * time.Millisecond, slack: 10 * time.Second,
		},
		hanging: hangingSize{
			rate: 50, strandEvery: 10, rounds: 1, round: time.Second,
			authTimeout: 3 * time.Second, slack: 10 * time.Second,
		},
		greedy: greedySize{
			good: 50, slow: 50, greedy: 50, rate: 100, linesPerSecond: 100,
			maxOutbound: 64 << 10, slowLine: 8000, read: 4 << 10, readEvery: 100 * time.Millisecond, rounds: 1, round: time.Second,
		},
		storm:  stormSize{good: 50, rate: 100, logins: 100, rounds: 1, round: time.Second},
		unread: unreadSize{clients: 200, writeTimeout: 3 * time.Second, slack: 20 * time.Second, resident: 4 << 20},
	}
}
