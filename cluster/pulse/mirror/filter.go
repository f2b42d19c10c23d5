package mirror

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const accept = 1 << 16 // bytes of the frame

// filter4 lets echo replies pass that carry a beat, and nothing else: four instructions for a TCP segment.
func filter4() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherSize + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMP, SkipTrue: 6},
		bpf.LoadMemShift{Off: etherSize}, // X: the size of the IP header
		bpf.LoadIndirect{Off: etherSize, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: reply4, SkipTrue: 3},
		bpf.LoadIndirect{Off: etherSize + icmpSize, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32([]byte(magic)), SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	}
}

func filter6() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherSize + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: etherSize + ip6Size, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: reply6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: etherSize + ip6Size + icmpSize, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32([]byte(magic)), SkipTrue: 1},
		bpf.RetConstant{Val: accept},
		bpf.RetConstant{Val: 0},
	}
}
