package oracle

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// proxy stands between the driver and the broker. It understands as much of the
// protocol as it needs to be the only way: answers about the cluster name the proxy
// instead of the broker, and answers to produce requests can be swallowed after the
// broker has appended.
type proxy struct {
	addr, broker string
	listener     net.Listener
	swallow      atomic.Bool  // answers to produce requests go nowhere
	hangUp       atomic.Bool  // and their connection ends at once, instead of staying silent
	refuse       atomic.Bool  // connections end as soon as they come
	delay        atomic.Int64 // of each answer
	swallowed    atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// startProxy listens on host, on a free port.
func startProxy(host, broker string) (*proxy, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	p := &proxy{addr: l.Addr().String(), broker: broker, listener: l, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() {
			client.Close()
			continue
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// cut ends all connections, and refuses new ones until mend.
func (p *proxy) cut() {
	p.refuse.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// heal lets everything through again.
func (p *proxy) heal() {
	p.refuse.Store(false)
	p.swallow.Store(false)
	p.hangUp.Store(false)
	p.delay.Store(0)
}

func (p *proxy) close() {
	p.listener.Close()
	p.cut()
	p.wg.Wait()
}

func (p *proxy) track(c net.Conn) {
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
}

func (p *proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// asked is a request whose answer is to come.
type asked struct{ key, version int16 }

func (p *proxy) serve(client net.Conn) {
	defer p.forget(client)
	p.track(client)
	server, err := net.DialTimeout("tcp", p.broker, 2*time.Second)
	if err != nil {
		return
	}
	defer p.forget(server)
	p.track(server)
	var mu sync.Mutex
	pending := map[int32]asked{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		for {
			frame, err := readFrame(server)
			if err != nil {
				return
			}
			id := int32(binary.BigEndian.Uint32(frame))
			mu.Lock()
			a := pending[id]
			delete(pending, id)
			mu.Unlock()
			if frame = p.answer(a, frame); frame == nil {
				if p.hangUp.Load() {
					return
				}
				continue
			}
			if writeFrame(client, frame) != nil {
				return
			}
		}
	}()
	for {
		frame, err := readFrame(client)
		if err != nil {
			break
		}
		a := asked{int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))}
		mu.Lock()
		pending[int32(binary.BigEndian.Uint32(frame[4:]))] = a
		mu.Unlock()
		if writeFrame(server, frame) != nil {
			break
		}
	}
	server.Close()
	<-done
}

// answer is what becomes of the broker's answer; nil swallows it.
func (p *proxy) answer(a asked, frame []byte) []byte {
	if d := time.Duration(p.delay.Load()); d > 0 {
		time.Sleep(d) // this is a slow network, not a wait
	}
	switch {
	case a.key == kmsg.Produce.Int16() && p.swallow.Load():
		p.swallowed.Add(1)
		return nil
	case a.key == kmsg.Metadata.Int16():
		renamed, err := p.rename(a.version, frame)
		if err != nil {
			panic(err) // the test's own mistake
		}
		return renamed
	}
	return frame
}

// rename lets a metadata answer name the proxy.
func (p *proxy) rename(version int16, frame []byte) ([]byte, error) {
	meta := kmsg.NewPtrMetadataResponse()
	meta.SetVersion(version)
	header := 4
	if meta.IsFlexible() {
		header++ // no tags
	}
	if err := meta.ReadFrom(frame[header:]); err != nil {
		return nil, fmt.Errorf("metadata answer of version %d: %w", version, err)
	}
	host, port, _ := net.SplitHostPort(p.addr)
	n, _ := strconv.Atoi(port)
	for i := range meta.Brokers {
		meta.Brokers[i].Host, meta.Brokers[i].Port = host, int32(n)
	}
	return meta.AppendTo(frame[:header:header]), nil
}

func readFrame(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 8 && n < 4 || n > 64<<20 {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(from, frame)
	return frame, err
}

func writeFrame(to io.Writer, frame []byte) error {
	_, err := to.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame))), frame...))
	return err
}
