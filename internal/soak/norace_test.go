//go:build soak && !race

package soak

// raceDetector tells that this is not built with it, and so neither the gateway.
const raceDetector = false
