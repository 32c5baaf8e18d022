//go:build soak && race

package soak

// raceDetector tells that this is built with it, and so the gateway, too.
const raceDetector = true
