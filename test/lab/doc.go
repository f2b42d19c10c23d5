// Package lab builds hosts, a switch and faults out of network namespaces, in which real binaries run and are watched.
//
// A Lab is one Ethernet segment. Its hosts are network namespaces without names, its switch is a bridge in a namespace of its own, its
// cables are veth pairs. It needs no external command, and leaves nothing behind however its process ends: namespaces go with the process,
// processes started in the lab die with it.
//
//	l := lab.ForTest(t)                          // or lab.New(dir) and l.Close()
//	a, err := l.Host("a", 11)                    // 10.77.0.11 and fd77::11 on eth0
//	p, err := a.Start("sleep", exec.Command("sleep", "9")) // a process inside
//	err = a.Do(func() error { ... })             // Go code inside; sockets opened there stay there
//
// Faults begin when the call returns and end with Heal:
//
//	f, err := l.SilentCut(a)
//	defer f.Heal()
//
// PullAtSwitch and PullAtHost take the carrier; SilentCut, Deafen, Mute, CutOneWay, CutBetween, Partition, FilterIP and Lose drop frames in
// the switch, where no tap in a host sees them; Usurp makes a stranger claim an address. Host.Freeze, Thaw and Kill act on every process in a
// host, whoever started it.
//
// Those who watch have a thread each, so that they measure the segment and not themselves. A Client sends requests at a fixed rate and
// reports blackouts; an Observer asks "who has the VIP?" and reports who holds it and how long two did; a host with KeepNeighbours believes
// what it once learned, until someone announces otherwise.
//
// A Pair is the lab that most want: two nodes, two backends, a client, an observer, a gateway and a stranger.
//
//	p, err := lab.NewPair(lab.ForTest(t), lab.PairConfig{Binary: "../../bin/tandem"})
//	err = p.StartNode(0)                         // and 1
//	leader, err := p.WaitLeader(ctx)             // as the observer sees it
//	load, err := p.Load(5 * time.Millisecond)
//	err = p.WaitServed(ctx, load, time.Second)
//	from := time.Now()
//	p.KillNode(leader.Index)                     // everything on it, as kill -9
//	_, err = p.WaitLeader(ctx, p.Other(leader))
//	...
//	report := load.Conclude(from, time.Now())    // blackout, failed attempts
//	view := p.Watch.View(from, time.Now())       // holders, dual time
//
// Times in reports include the interval of those who watch: a client that asks every 5 ms sees a blackout of 5 ms at best.
package lab
