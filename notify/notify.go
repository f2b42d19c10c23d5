package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lb/tandem/command"
)

// stopTime bounds all that is told when the daemon ends.
const stopTime = 5 * time.Second

// Runner runs a command to its end, and returns the beginning of its output.
type Runner func(ctx context.Context, c command.Command) (output string, err error)

// Notifier tells commands what the node has become. Run is the only goroutine that runs them, one at a time.
type Notifier struct {
	cfg  Config
	log  hclog.Logger
	poke chan struct{}

	mu    sync.Mutex // guards what follows
	hooks []Hook
	now   State  // the newest that was observed
	last  uint64 // id of the newest event
	queue queue
}

// New returns a Notifier; nothing is told before Run.
func New(cfg Config, log hclog.Logger) *Notifier {
	if cfg.Run == nil {
		cfg.Run = command.Run
	}
	return &Notifier{cfg: cfg, hooks: cfg.Hooks, log: log, poke: make(chan struct{}, 1)}
}

// SetHooks changes what is told, and to whom, from the next event on.
func (n *Notifier) SetHooks(hooks []Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hooks = hooks
}

// Observe takes in what the node is now. It may be called with every turn of the election: only a change of Event is an event. It never waits for a command.
func (n *Notifier) Observe(s State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Event == n.now.Event || s.Event == "" || len(n.hooks) == 0 {
		return
	}
	n.last++
	n.queue.push(event{s, n.last, n.now.Event})
	n.now = s
	select {
	case n.poke <- struct{}{}:
	default:
	}
}

// Run tells the commands until ctx ends; then it tells what still waits, and that the node has stopped, within 5 s, and returns.
func (n *Notifier) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-n.poke:
			n.tellAll(ctx)
		}
	}
	n.Observe(State{Event: Stopped, Since: time.Now(), Reason: "the daemon ends", Code: string(Stopped)})
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	n.tellAll(end)
	return nil
}

func (n *Notifier) tellAll(ctx context.Context) {
	for ctx.Err() == nil {
		n.mu.Lock()
		e, skipped, ok := n.queue.pop()
		hooks := n.hooks
		n.mu.Unlock()
		if !ok {
			return
		}
		if skipped > 0 {
			n.log.Warn("events were skipped: a command took too long", "count", skipped, "next", n.id(e))
		}
		for _, h := range hooks {
			if slices.Contains(h.On, e.Event) {
				n.tell(ctx, h, e, skipped)
			}
		}
	}
}

// tell runs one command for one event. A command that fails is not tried again: the next event is news, this one is history.
func (n *Notifier) tell(ctx context.Context, h Hook, e event, skipped int) {
	c := h.Command
	c.Env = append(slices.Clone(c.Env), n.environment(e, skipped)...)
	began := time.Now()
	out, err := n.cfg.Run(ctx, c)
	log := n.log.With("event", string(e.Event), "id", n.id(e), "command", c.Argv[0], "took", time.Since(began).Round(time.Millisecond))
	if out = oneLine(out); out != "" {
		log = log.With("output", out)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.New("this node stops, and waits for no command")
	}
	if err != nil {
		log.Warn("command failed", "err", err)
		return
	}
	log.Info("command told")
}

// environment is what a command knows beside its arguments. All values are one line.
func (n *Notifier) environment(e event, skipped int) []string {
	n.mu.Lock()
	now := n.now.Event
	n.mu.Unlock()
	vars := [][2]string{
		{"EVENT", string(e.Event)}, {"EVENT_ID", n.id(e)}, {"PREVIOUS", string(e.previous)}, {"NOW", string(now)},
		{"SKIPPED", fmt.Sprint(skipped)}, {"NODE", n.cfg.Node}, {"VIPS", n.cfg.VIPs}, {"TERM", fmt.Sprint(e.Term)},
		{"REASON", e.Reason}, {"REASON_CODE", e.Code}, {"PEER", e.Peer}, {"LEADER", e.Leader},
		{"SINCE", e.Since.UTC().Format(time.RFC3339Nano)},
	}
	env := make([]string, len(vars))
	for i, v := range vars {
		env[i] = "TANDEM_" + v[0] + "=" + oneLine(v[1])
	}
	return env
}

// id names an event: the start of the daemon and a number that rises by one with each event of that start, told or skipped.
func (n *Notifier) id(e event) string { return fmt.Sprintf("%s-%d", n.cfg.Boot, e.id) }

// oneLine makes text from elsewhere fit for a log line and an environment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ' '
		case r < ' ' || r == 0x7f:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "?"))
}
