package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// snapLength is how much of a packet is kept.
const snapLength = 65535

// sniff captures the packets of the network namespace of a process, as a pcap file
// (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html, Ethernet frames).
// It ends early when the bound is reached. A namespace that is the agent's own is
// not looked at: its packets are not the workload's alone.
func sniff(ctx context.Context, pid int, during time.Duration) ([]byte, error) {
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	own, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	if theirs, err := ns.Stat(); err != nil {
		return nil, err
	} else if os.SameFile(own, theirs) {
		return nil, errors.New("it has the node's network, whose packets are not its own")
	}
	type opened struct {
		fd  int
		err error
	}
	done := make(chan opened)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := -1, unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
			fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
		}
		done <- opened{fd, err}
	}()
	o := <-done
	if o.err != nil {
		return nil, fmt.Errorf("network namespace of process %d: %w", pid, o.err)
	}
	defer unix.Close(o.fd)
	return receive(ctx, o.fd, during)
}

// receive reads packets until the time or the bound is over.
func receive(ctx context.Context, fd int, during time.Duration) ([]byte, error) {
	wait := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return nil, err
	}
	out := pcapHeader()
	packet := make([]byte, snapLength)
	for end := time.Now().Add(during); time.Now().Before(end) && ctx.Err() == nil; {
		n, _, err := unix.Recvfrom(fd, packet, unix.MSG_TRUNC)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return out, err
		}
		next := appendPacket(out, time.Now(), packet[:min(n, snapLength)], n)
		if len(next) > maxPackets {
			return out, fmt.Errorf("cut off at %d bytes", len(out))
		}
		out = next
	}
	return out, nil
}

func pcapHeader() []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d) // nanoseconds
	out = binary.LittleEndian.AppendUint16(out, 2)
	out = binary.LittleEndian.AppendUint16(out, 4)
	out = append(out, make([]byte, 8)...)
	out = binary.LittleEndian.AppendUint32(out, snapLength)
	return binary.LittleEndian.AppendUint32(out, 1) // LINKTYPE_ETHERNET
}

func appendPacket(out []byte, at time.Time, packet []byte, length int) []byte {
	out = binary.LittleEndian.AppendUint32(out, uint32(at.Unix()))
	out = binary.LittleEndian.AppendUint32(out, uint32(at.Nanosecond()))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(packet)))
	out = binary.LittleEndian.AppendUint32(out, uint32(length))
	return append(out, packet...)
}
