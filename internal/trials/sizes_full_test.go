//go:build trials

package trials

import "time"

// sizes are those of "make trials".
func sizes() trialSizes {
	return trialSizes{
		rotation: rotationSize{
			rate: 1000, guessEvery: 100, rounds: 6, round: 10 * time.Second,
			every: 2 * time.Second, cooldown: time.Second, compared: true,
		},
		guesses: guessesSize{
			guesses: 100_000, warmUp: 20_000, strangers: 700, waiting: 512, rate: 2500, devices: 100,
			cooldown: time.Second, slack: time.Second, compared: true,
		},
		hanging: hangingSize{
			rate: 500, strandEvery: 50, rounds: 4, round: 5 * time.Second,
			authTimeout: 4 * time.Second, compared: true,
		},
		greedy: greedySize{
			good: 1000, slow: 1000, greedy: 1000, rate: 2000, linesPerSecond: 4,
			maxOutbound: 32 << 10, slowLine: 3000, read: 1 << 10, readEvery: time.Second, rounds: 5, round: 5 * time.Second, compared: true,
		},
		storm:  stormSize{good: 1000, rate: 2000, logins: 1000, rounds: 5, round: 5 * time.Second, compared: true},
		unread: unreadSize{clients: 200, writeTimeout: 3 * time.Second, slack: 3 * time.Second, resident: 1 << 20},
	}
}
