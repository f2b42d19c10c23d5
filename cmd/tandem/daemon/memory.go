package daemon

import (
	"os"
	"runtime/debug"
)

// growth is by how many percent the heap of a node may grow between two collections. Each stops the world twice, for as long as its slowest thread takes to be
// run: on a starved host longer than a beat. With Go's 100 an idle node collected every 8 s, for the sake of 4 MiB; with this it takes some 15 MiB and does so
// once or twice a minute.
const growth = 400

// collectRarely lets the heap grow, unless GOGC says how far.
func collectRarely() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}
