package proxy

import (
	"time"

	"github.com/tandem-lb/tandem/proxy/http1"
)

// paceWindow is over how much waiting a client's rate is looked at: stalls of a mobile network are shorter.
const paceWindow = 30 * time.Second

var errBodySlow = &http1.Error{Status: 408, Reason: "body comes too slowly"}

// pace watches how fast a body comes. Only time in which the client was waited for counts, so no backend's slowness makes a client slow.
type pace struct {
	rate   int // bytes a second; negative: any will do
	waited time.Duration
	came   int
}

// slow notes that so many bytes have come after a wait, and reports whether it is time to give up.
func (p *pace) slow(wait time.Duration, n int) bool {
	p.waited += wait
	p.came += n
	if p.waited < paceWindow {
		return false
	}
	tooSlow := float64(p.came) < float64(p.rate)*p.waited.Seconds()
	p.waited, p.came = 0, 0
	return tooSlow
}
