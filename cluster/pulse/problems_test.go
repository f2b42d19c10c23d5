package pulse_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lb/tandem/cluster/pulse"
	"github.com/tandem-lb/tandem/cluster/pulse/pulsetest"
)

func TestAPeerWithAnotherKeyIsAProblemWhileItBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var net pulsetest.Net
		x := start(t, &net, a(1))
		cfg := b(2)
		cfg.Key = bytes.Repeat([]byte{9}, 32)
		y := start(t, &net, cfg)
		x.Publish(pulse.Beat{})
		y.Publish(pulse.Beat{})
		settle(3 * time.Second)
		if p := x.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, "has another key") {
			t.Fatalf("problems: %+v", p)
		}
		y.stop()
		settle(6 * time.Second)
		if p := x.Problems(); len(p) != 0 {
			t.Errorf("problems of a peer that is gone: %+v", p)
		}
		settle(2 * time.Minute)
		if got := strings.Count(x.log.String(), "beats refused"); got != 1 {
			t.Errorf("told %d times, want once: what is over is no news\n%s", got, x.log)
		}
	})
}
