package mqtt

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"sightline/internal/testkit"
	"sightline/sink"
	"sightline/sink/sinktest"
)

// scripted is a broker of MQTT 5 that does as it is told: what no real one does on
// demand.
type scripted struct {
	addr string

	mu     sync.Mutex
	conns  int
	topics []string // of all messages, in order
	pings  int
}

// script starts one. Each packet of a client is answered by what reply returns, nil
// for nothing; hang up closes the connection.
func script(t *testing.T, reply func(s *scripted, p *packets.ControlPacket) (answers []packets.Packet, hangUp bool)) *scripted {
	t.Helper()
	s := &scripted{}
	s.addr = testkit.Listen(t, func(conn net.Conn) { s.serve(conn, reply) })
	return s
}

func (s *scripted) serve(conn net.Conn, reply func(s *scripted, p *packets.ControlPacket) ([]packets.Packet, bool)) {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		s.mu.Lock()
		switch m := p.Content.(type) {
		case *packets.Publish:
			s.topics = append(s.topics, m.Topic)
		case *packets.Pingreq:
			s.pings++
		}
		answers, hangUp := reply(s, p)
		s.mu.Unlock()
		for _, a := range answers {
			if _, err := a.WriteTo(conn); err != nil {
				return
			}
		}
		if hangUp {
			return
		}
	}
}

// polite answers as a broker should.
func polite(p *packets.ControlPacket) []packets.Packet {
	switch m := p.Content.(type) {
	case *packets.Connect:
		return []packets.Packet{&packets.Connack{Properties: &packets.Properties{}}}
	case *packets.Publish:
		return []packets.Packet{ack(m, 0)}
	case *packets.Pingreq:
		return []packets.Packet{&packets.Pingresp{}}
	}
	return nil
}

func ack(m *packets.Publish, code byte) *packets.Puback {
	return &packets.Puback{PacketID: m.PacketID, ReasonCode: code, Properties: &packets.Properties{ReasonString: "because"}}
}

func (s *scripted) config() Config {
	cfg := Defaults()
	cfg.URL, cfg.Timeout, cfg.Topic = "mqtt://"+s.addr, time.Second, "{stream}"
	return cfg
}

// A quota passes: the event and those after it of its topic are tried again, others
// are taken; and then they come one at a time, so that none overtakes.
func TestQuotaPutsOff(t *testing.T) {
	turns := 2
	s := script(t, func(_ *scripted, p *packets.ControlPacket) ([]packets.Packet, bool) {
		if m, ok := p.Content.(*packets.Publish); ok && m.Topic == "a" && turns > 0 {
			turns--
			return []packets.Packet{ack(m, packets.PubackQuotaExceeded)}, false
		}
		return polite(p), false
	})
	d := newSink(t, s.config())
	records := sinktest.Records([]string{"a", "b"}, 1, 3)
	err := d.Publish(t.Context(), records)
	partial, ok := errors.AsType[*sink.PartialError](err)
	if !ok || !slices.Equal(partial.Failed, []int{0, 2, 4}) || partial.Refused != nil || !strings.Contains(err.Error(), "quota") || !strings.Contains(err.Error(), "because") {
		t.Fatalf("got %v", err)
	}
	if _, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err); !ok {
		t.Errorf("an event seems to be at fault: %v", err)
	}
	s.mu.Lock()
	turns = 1
	s.mu.Unlock()
	rest := []sink.Record{records[0], records[2], records[4]}
	if err := d.Publish(t.Context(), rest); err == nil {
		t.Fatal("the quota is still used up")
	}
	s.mu.Lock()
	sent := len(s.topics)
	s.mu.Unlock()
	if sent != len(records)+1 {
		t.Errorf("%d messages were sent, want the batch and one more: others follow only when that is taken", sent)
	}
	if err := d.Publish(t.Context(), rest); err != nil {
		t.Error(err)
	}
}

// What is refused says why it was, and blames nothing that only a quota holds up.
func TestReasonOfARefusalIsToldBesideAQuota(t *testing.T) {
	s := script(t, func(_ *scripted, p *packets.ControlPacket) ([]packets.Packet, bool) {
		if m, ok := p.Content.(*packets.Publish); ok {
			code := map[string]byte{"a": packets.PubackQuotaExceeded, "b": packets.PubackNotAuthorized}[m.Topic]
			return []packets.Packet{ack(m, code)}, false
		}
		return polite(p), false
	})
	for _, keys := range [][]string{{"a", "b"}, {"b", "a"}} {
		err := newSink(t, s.config()).Publish(t.Context(), sinktest.Records(keys, 1, 1))
		partial, ok := errors.AsType[*sink.PartialError](err)
		if !ok || len(partial.Failed) != 1 || len(partial.Refused) != 1 || !strings.Contains(err.Error(), "quota") || !strings.Contains(err.Error(), "does not let us publish") {
			t.Errorf("%v: %v", keys, err)
		}
		if _, ok := errors.AsType[interface {
			error
			Temporary() bool
		}](err); !ok {
			t.Errorf("%v: an event seems to be at fault: %v", keys, err)
		}
	}
}

func TestReceiveMaximumBoundsTheWindow(t *testing.T) {
	var flight, most int
	held := []packets.Packet{}
	s := script(t, func(_ *scripted, p *packets.ControlPacket) ([]packets.Packet, bool) {
		switch m := p.Content.(type) {
		case *packets.Connect:
			two := uint16(2)
			return []packets.Packet{&packets.Connack{Properties: &packets.Properties{ReceiveMaximum: &two}}}, false
		case *packets.Publish:
			flight++
			most = max(most, flight)
			held = append(held, ack(m, 0))
			if flight == 2 { // in the other order, as some brokers do
				slices.Reverse(held)
				out := held
				held, flight = nil, 0
				return out, false
			}
		}
		return nil, false
	})
	if err := newSink(t, s.config()).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 40)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if most != 2 {
		t.Errorf("%d in flight, want 2", most)
	}
}

// Whatever a broker does, Publish returns, names what may not have arrived, and goes on
// with a connection of its own the next time.
func TestMisbehavingBrokers(t *testing.T) {
	refuse := func(code byte) func(*packets.ControlPacket) ([]packets.Packet, bool) {
		return func(p *packets.ControlPacket) ([]packets.Packet, bool) {
			return []packets.Packet{&packets.Connack{ReasonCode: code, Properties: &packets.Properties{ReasonString: "no, top-secret"}}}, true
		}
	}
	onPublish := func(answers ...packets.Packet) func(*packets.ControlPacket) ([]packets.Packet, bool) {
		return func(p *packets.ControlPacket) ([]packets.Packet, bool) {
			if _, ok := p.Content.(*packets.Publish); ok {
				return answers, true
			}
			return polite(p), false
		}
	}
	zero := byte(0)
	for name, c := range map[string]struct {
		reply func(*packets.ControlPacket) ([]packets.Packet, bool)
		want  string
	}{
		"wrong password":  {refuse(packets.ConnackBadUsernameOrPassword), `wrong username or password ("no, ***")`},
		"old broker":      {refuse(1), "try version: 3"},
		"busy":            {refuse(packets.ConnackServerBusy), "busy"},
		"hangs up":        {onPublish(), "2 not accepted"},
		"says goodbye":    {onPublish(&packets.Disconnect{ReasonCode: packets.DisconnectServerShuttingDown, Properties: &packets.Properties{}}), "0x8b"},
		"unasked answer":  {onPublish(&packets.Puback{PacketID: 999, Properties: &packets.Properties{}}), "not asked"},
		"answers a login": {onPublish(&packets.Connack{Properties: &packets.Properties{}}), "not asked"},
		"no QoS": {func(*packets.ControlPacket) ([]packets.Packet, bool) {
			return []packets.Packet{&packets.Connack{Properties: &packets.Properties{MaximumQOS: &zero}}}, false
		}, "acknowledges nothing"},
		"keeps nothing": {func(*packets.ControlPacket) ([]packets.Packet, bool) {
			return []packets.Packet{&packets.Connack{Properties: &packets.Properties{RetainAvailable: &zero}}}, false
		}, "leave out retain"},
		"silent": {func(p *packets.ControlPacket) ([]packets.Packet, bool) { return nil, false }, "no answer within"},
	} {
		t.Run(name, func(t *testing.T) {
			well := false
			s := script(t, func(_ *scripted, p *packets.ControlPacket) ([]packets.Packet, bool) {
				if well {
					return polite(p), false
				}
				return c.reply(p)
			})
			cfg := s.config()
			cfg.Timeout, cfg.Username, cfg.Password = 300*time.Millisecond, "u", func() string { return "top-secret" }
			cfg.Retain = name == "keeps nothing"
			d := newSink(t, cfg)
			err := d.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 2))
			checkError(t, err, c.want)
			if partial, ok := errors.AsType[*sink.PartialError](err); ok && len(partial.Failed) != 2 || strings.Contains(err.Error(), "top-secret") {
				t.Errorf("got %v", err)
			}
			s.mu.Lock()
			well = true
			s.mu.Unlock()
			if err := d.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 2)); err != nil {
				t.Errorf("when it is well again: %v", err)
			}
		})
	}
}

func TestBabbleIsNoBroker(t *testing.T) {
	texts := []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "\x20\xff\xff\xff\xff\x7f", "\x20\xff\xff\xff\x7f", "\x20\x02", "\x20\x00", "\x40\x02\x00\x01", ""}
	versions(t, func(t *testing.T, version int) {
		for _, text := range texts {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				io.ReadFull(conn, make([]byte, 10))
				io.WriteString(conn, text)
			})
			cfg := Defaults()
			cfg.URL, cfg.Version = "mqtt://"+l.Addr().String(), version
			if err := newSink(t, cfg).Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1)); err == nil {
				t.Errorf("%q was taken for a broker", text)
			}
			l.Close()
			wg.Wait()
		}
	})
}

// An idle connection is tested by itself; one that was lost is made again without a
// failure.
func TestKeepAlive(t *testing.T) {
	var quiet bool
	s := script(t, func(_ *scripted, p *packets.ControlPacket) ([]packets.Packet, bool) {
		if _, ok := p.Content.(*packets.Pingreq); ok && quiet {
			return nil, true
		}
		return polite(p), false
	})
	d := newSink(t, s.config())
	d.cfg.KeepAlive = 40 * time.Millisecond
	if err := d.Publish(t.Context(), sinktest.Records([]string{"a"}, 1, 1)); err != nil {
		t.Fatal(err)
	}
	pinged := func(n int) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.pings >= n
	}
	for until := time.Now().Add(10 * time.Second); !pinged(3) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	s.mu.Lock()
	pings, conns := s.pings, s.conns
	quiet = true
	s.mu.Unlock()
	if pings < 3 || conns != 1 {
		t.Fatalf("%d pings on %d connections", pings, conns)
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		d.mu.Lock()
		gone := d.session == nil
		d.mu.Unlock()
		if gone {
			break
		}
	}
	if err := d.Publish(t.Context(), sinktest.Records([]string{"a"}, 2, 1)); err != nil {
		t.Errorf("after the connection was lost: %v", err)
	}
}

// FuzzAnswer reads anything as a broker's answer.
func FuzzAnswer(f *testing.F) {
	for _, p := range []packets.Packet{
		&packets.Connack{Properties: &packets.Properties{ReasonString: "x", AssignedClientID: "y"}}, &packets.Disconnect{Properties: &packets.Properties{}},
		&packets.Puback{PacketID: 7, ReasonCode: 0x87, Properties: &packets.Properties{User: []packets.User{{Key: "a", Value: "b"}}}}, &packets.Pingresp{},
	} {
		var b bytes.Buffer
		if _, err := p.WriteTo(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte("\x20\x02\x00\x05"))
	f.Add([]byte("\x40\x05\x00\x01\x87\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []protocol{v3{}, v5{}} {
			r := bufio.NewReader(bytes.NewReader(b))
			kind, body, err := readPacket(r)
			if err != nil {
				continue
			}
			a, err := p.parse(kind, body)
			if err == nil && a.kind != kind {
				t.Errorf("packet %d was read as %d", kind, a.kind)
			}
		}
	})
}
