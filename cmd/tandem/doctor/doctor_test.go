package doctor

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tandem-lb/tandem/cluster"
	"github.com/tandem-lb/tandem/cmd/tandem/admin/api"
	"github.com/tandem-lb/tandem/configs"
	"github.com/tandem-lb/tandem/vip"
)

// well is a standby on which nothing is wrong.
func well() Facts {
	vips := []netip.Prefix{netip.MustParsePrefix("10.0.0.10/32"), netip.MustParsePrefix("2001:db8::10/128")}
	peer := netip.MustParseAddrPort("10.0.0.12:7946")
	return Facts{
		File: "tandem.yaml",
		Config: &configs.Config{
			Node: "lb1", Cluster: cluster.Config{Failover: 200 * time.Millisecond, Peers: []netip.AddrPort{peer}},
			VIP: vip.Config{Interface: "eth0", Addresses: vips, Lease: 2 * time.Second},
		},
		Daemon: &api.Status{
			Node: "lb1", State: api.Standby, Reason: "a peer holds", Leader: "lb2", Gate: "nftables",
			Peers:     []api.Peer{{Name: "lb2", Address: peer.String(), State: api.PeerAlive, HearsUs: true, MACs: []string{"02:00:00:00:00:12"}, Paths: []api.Path{{Bind: "10.0.0.11:7946", Address: peer.String()}}}},
			Listeners: []api.Listener{{Name: "web", Bind: "10.0.0.10:80", Open: true}},
		},
		Links: []Link{{
			Name: "eth0", Up: true, MTU: 1500, VIPs: vips, Own: []netip.Prefix{netip.MustParsePrefix("10.0.0.11/24")},
			Sysctl:  map[string]int{},
			Answers: map[netip.Addr][]string{vips[0].Addr(): {"02:00:00:00:00:12"}, vips[1].Addr(): {"02:00:00:00:00:12"}},
		}},
		Peers: []Peer{{Address: peer, MTU: 1500, OurMTU: 1500}},
		Files: 1 << 20,
	}
}

func TestNothingIsWrongWhereAllIsWell(t *testing.T) {
	all := Examine(well())
	for _, f := range all {
		if f.Verdict != OK || f.Do != "" || f.What == "" {
			t.Errorf("%+v", f)
		}
	}
	for _, about := range []string{"configuration", "daemon", "capabilities", "nftables", "descriptors", "clock", "link eth0", "vip 10.0.0.10", "vip 2001:db8::10", "peer 10.0.0.12"} {
		if !slices.ContainsFunc(all, func(f Finding) bool { return f.About == about }) {
			t.Errorf("nothing about %s", about)
		}
	}
	if Sick(all) {
		t.Error("sick")
	}
}

func TestFindingsSayWhatIsWrong(t *testing.T) {
	const foreign = "02:00:00:00:00:66"
	vip4 := netip.MustParseAddr("10.0.0.10")
	for what, c := range map[string]struct {
		harm    func(f *Facts)
		verdict Verdict
		about   string
		want    string
	}{
		"daemon down":     {func(f *Facts) { f.Daemon, f.DaemonErr = nil, api.ErrNotRunning }, Wrong, "daemon", "not running"},
		"warning":         {func(f *Facts) { f.Daemon.Warnings = []string{"so and so"} }, Wrong, "daemon", "so and so"},
		"unfit":           {func(f *Facts) { f.Daemon.Unfitness = "gateway" }, Wrong, "daemon", "less fit to lead: gateway"},
		"port taken":      {func(f *Facts) { f.Daemon.Listeners[0].Open = false }, Wrong, "listener web", "not open"},
		"no capabilities": {func(f *Facts) { f.Caps = errors.New("lacks them") }, Wrong, "capabilities", "lacks them"},
		"no gate":         {func(f *Facts) { f.Daemon.Gate = "none: no kernel part" }, Wrong, "nftables", "answers for 2s more instead of 200ms"},
		"no nftables": {func(f *Facts) {
			f.Daemon, f.DaemonErr, f.Nftables = nil, api.ErrNotRunning, errors.New("no kernel part")
		}, Wrong, "nftables", "no kernel part"},
		"few files":        {func(f *Facts) { f.Files = 1024 }, Note, "descriptors", "some 170 clients"},
		"clock":            {func(f *Facts) { f.Clock = errors.New("nothing synchronises it") }, Note, "clock", "nothing synchronises it"},
		"no link":          {func(f *Facts) { f.Links[0].Err = errors.New("no such interface") }, Wrong, "link eth0", "no such interface"},
		"no carrier":       {func(f *Facts) { f.Links[0].Up = false }, Wrong, "link eth0", "no carrier"},
		"no own address":   {func(f *Facts) { f.Links[0].Own = nil }, Wrong, "link eth0", "no address of its own"},
		"wide vip":         {func(f *Facts) { f.Links[0].VIPs[0] = netip.MustParsePrefix("10.0.0.10/24") }, Wrong, "link eth0", "removes it together"},
		"arp_ignore 2":     {func(f *Facts) { f.Links[0].Sysctl["arp_ignore"] = 2 }, Wrong, "link eth0", "arp_ignore is 2"},
		"arp_ignore 8":     {func(f *Facts) { f.Links[0].Sysctl["arp_ignore"] = 8 }, Wrong, "link eth0", "arp_ignore is 8"},
		"rp_filter":        {func(f *Facts) { f.Links[0].Sysctl["rp_filter"] = 1 }, Note, "link eth0", "rp_filter is 1"},
		"no IPv6":          {func(f *Facts) { f.Links[0].Sysctl["disable_ipv6"] = 1 }, Wrong, "link eth0", "IPv6 is disabled"},
		"networkd":         {func(f *Facts) { f.Links[0].Networkd = &Networkd{File: "/etc/x.network"} }, Note, "systemd-networkd", "manages eth0"},
		"NetworkManager":   {func(f *Facts) { f.Links[0].Manager = true }, Note, "NetworkManager", "manages eth0"},
		"not asked":        {func(f *Facts) { f.Links[0].AskErr = errors.New("not root") }, Note, "link eth0", "not root"},
		"foreign":          {func(f *Facts) { f.Links[0].Answers[vip4] = []string{foreign} }, Wrong, "vip 10.0.0.10", "lb2 leads, and " + foreign},
		"swallowed":        {func(f *Facts) { f.Links[0].Answers[vip4] = []string{} }, Wrong, "vip 10.0.0.10", "does not arrive on eth0"},
		"twice":            {func(f *Facts) { f.Daemon.Leader = "lb1"; f.Links[0].Answers[vip4] = []string{foreign} }, Wrong, "vip 10.0.0.10", "held here, and " + foreign},
		"taken":            {func(f *Facts) { f.Daemon.Leader = ""; f.Links[0].Answers[vip4] = []string{foreign} }, Wrong, "vip 10.0.0.10", "none of the nodes leads"},
		"nobody":           {func(f *Facts) { f.Daemon.Leader = ""; f.Links[0].Answers[vip4] = []string{} }, Wrong, "vip 10.0.0.10", "nobody leads"},
		"taken, no daemon": {func(f *Facts) { f.Daemon, f.DaemonErr = nil, api.ErrNotRunning }, Note, "vip 10.0.0.10", "answers for it"},
		"gossip filtered":  {func(f *Facts) { f.Peers[0].Gossip = errors.New("no answer") }, Wrong, "peer 10.0.0.12", "TCP to its port 7946: no answer"},
		"stream filtered":  {func(f *Facts) { f.Peers[0].Stream = errors.New("no answer") }, Wrong, "peer 10.0.0.12", "TCP to its port 7947: no answer"},
		"MTU":              {func(f *Facts) { f.Peers[0].MTU = 9000 }, Wrong, "peer 10.0.0.12", "MTU of 9000, ours 1500"},
		"never heard":      {func(f *Facts) { f.Daemon.Peers[0].State = api.PeerUnknown }, Wrong, "peer 10.0.0.12", "never heard"},
		"silent":           {func(f *Facts) { f.Daemon.Peers[0].State = api.PeerSilent }, Wrong, "peer 10.0.0.12", "it is silent"},
		"one way":          {func(f *Facts) { f.Daemon.Peers[0].HearsUs = false }, Wrong, "peer 10.0.0.12", "ours do not reach it"},
		"path":             {func(f *Facts) { f.Daemon.Peers[0].Paths[0].Broken = true }, Wrong, "peer 10.0.0.12", "carries no beats"},
		"differs":          {func(f *Facts) { f.Daemon.Peers[0].ConfigDiffers = true }, Wrong, "peer 10.0.0.12", "configuration differs"},
		"file":             {func(f *Facts) { f.Warnings = []configs.Warning{{Host: true}} }, Wrong, "configuration", ""},
	} {
		t.Run(what, func(t *testing.T) {
			f := well()
			c.harm(&f)
			all := Examine(f)
			i := slices.IndexFunc(all, func(x Finding) bool {
				return x.Verdict == c.verdict && x.About == c.about && strings.Contains(x.What, c.want)
			})
			if i < 0 {
				t.Fatalf("%+v, want a finding that is %s about %s with %q", all, c.verdict, c.about, c.want)
			}
			if all[i].Do == "" {
				t.Errorf("%+v does not say what to do", all[i])
			}
			if Sick(all) != slices.ContainsFunc(all, func(x Finding) bool { return x.Verdict == Wrong }) {
				t.Error("Sick is wrong")
			}
		})
	}
}

func TestManagersOfALinkAreFound(t *testing.T) {
	root := fstest.MapFS{
		"run/systemd/netif/links/2":                 {Data: []byte("ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/a.network\nNETWORK_FILE_DROPINS=\"/etc/systemd/network/a.network.d/keep.conf\"\n")},
		"etc/systemd/network/a.network":             {Data: []byte("[Match]\nName=eth0\n[Network]\nKeepConfiguration=no\n")},
		"etc/systemd/network/a.network.d/keep.conf": {Data: []byte("[Network]\nKeepConfiguration=static\n")},
		"run/systemd/netif/links/3":                 {Data: []byte("ADMIN_STATE=unmanaged\n")},
		"run/NetworkManager/devices/3":              {Data: []byte("[device]\nmanaged=true\n")},
		"run/NetworkManager/devices/4":              {Data: []byte("[device]\nmanaged=false\n")},
	}
	if n, m := managed(root, 2); n == nil || n.File != "/etc/systemd/network/a.network" || n.Keep != "static" || m {
		t.Errorf("link 2: %+v, %v", n, m)
	}
	if n, m := managed(root, 3); n != nil || !m {
		t.Errorf("link 3: %+v, %v", n, m)
	}
	if n, m := managed(root, 4); n != nil || m {
		t.Errorf("link 4: %+v, %v", n, m)
	}
}

func TestWhatAProcessMayIsRead(t *testing.T) {
	root := fstest.MapFS{
		"proc/1/status": {Data: []byte("Name:\ttandem\nCapEff:\t0000000000003000\n")},
		"proc/1/limits": {Data: []byte("Limit                     Soft Limit           Hard Limit           Units\nMax open files            1048576              1048576              files\n")},
		"proc/2/status": {Data: []byte("CapEff:\t0000000000001000\n")},
		"proc/3/status": {Data: []byte("nothing")},
	}
	if files, caps := process(root, 1); caps != nil || files != 1<<20 {
		t.Errorf("process 1: %v, %d", caps, files)
	}
	for pid := 2; pid <= 4; pid++ {
		if files, caps := process(root, pid); caps == nil || files != 0 {
			t.Errorf("process %d: %v, %d", pid, caps, files)
		}
	}
}

func TestSysctlsCountAsTheKernelCombinesThem(t *testing.T) {
	root := fstest.MapFS{
		"proc/sys/net/ipv4/conf/all/arp_ignore":  {Data: []byte("2\n")},
		"proc/sys/net/ipv4/conf/eth0/arp_ignore": {Data: []byte("1\n")},
		"proc/sys/net/ipv4/conf/eth0/rp_filter":  {Data: []byte("1\n")},
	}
	if m := sysctls(root, "eth0"); m["arp_ignore"] != 2 || m["rp_filter"] != 1 || m["promote_secondaries"] != 0 {
		t.Errorf("%v", m)
	}
}

func TestTextTellsWhatIsWrongFirst(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, []Finding{{OK, "a", "fine", ""}, {Note, "bb", "hm", "think"}, {Wrong, "ccc", "bad", "act"}}); err != nil {
		t.Fatal(err)
	}
	want := `wrong  ccc  bad
            -> act
note   bb   hm
            -> think
ok     a    fine
1 wrong, 1 to note, 1 ok
`
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
