package trials

import "time"

// trialSizes are how much of each trial there is.
type trialSizes struct {
	rotation rotationSize
	guesses  guessesSize
	hanging  hangingSize
	unread   unreadSize
	greedy   greedySize
	storm    stormSize
}

type rotationSize struct {
	rate       int           // logins a second
	guessEvery int           // logins
	rounds     int           // with rotation, and as many without
	round      time.Duration // how long each is
	every      time.Duration // between two rotations of an issuer
	cooldown   time.Duration
	compared   bool // latencies
}

type guessesSize struct {
	guesses   int // all in all
	warmUp    int // of them before memory is looked at
	strangers int // who guess at once
	waiting   int // of them at most
	rate      int // guesses a second at most
	devices   int // logins with known keys a second
	cooldown  time.Duration
	slack     time.Duration // for a fetch and a login, after the cool-down
	compared  bool          // memory
}

type unreadSize struct {
	clients      int // that never read
	writeTimeout time.Duration
	slack        time.Duration // beyond it
	resident     int           // bytes for each; the race detector keeps its own beside them
}

type greedySize struct {
	good, slow, greedy int // clients
	rate               int // pings a second of all the good ones
	linesPerSecond     int // of each session
	maxOutbound        int // bytes
	slowLine           int // bytes of a line of a slow one
	read               int // bytes that it reads at once
	readEvery          time.Duration
	rounds             int           // with slow and greedy ones, and as many without
	round              time.Duration // how long each is
	compared           bool          // latencies
}

type stormSize struct {
	good     int // sessions
	rate     int // pings a second of them all
	logins   int // a second
	rounds   int // with the storm, and as many without
	round    time.Duration
	compared bool // latencies
}

type hangingSize struct {
	rate        int // logins with known keys a second
	strandEvery int // of them there are two with unknown keys
	rounds      int // with an issuer that hangs, and as many without
	round       time.Duration
	authTimeout time.Duration
	slack       time.Duration // beyond it
	compared    bool          // latencies
}
