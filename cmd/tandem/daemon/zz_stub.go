package daemon

import (
	"context"
	"errors"

	"github.com/tandem-lb/tandem/cluster/peer"
)

type stub struct{}

func (stub) Run(ctx context.Context) error                          { <-ctx.Done(); return nil }
func (stub) Send(context.Context, string, peer.Message) error       { return errors.New("stub") }
func (stub) Inbox() <-chan peer.Message                             { return nil }
func (stub) States() map[string]peer.State                          { return nil }
func (stub) Changed() <-chan struct{}                               { return nil }
