package mqtt

import (
	"bytes"
	"fmt"
	"math"

	"github.com/eclipse/paho.golang/packets"

	"sightline/sink"
)

// v5 is MQTT 5.
type v5 struct{}

func (v5) connect(l login) ([]byte, error) {
	most := uint32(maxAnswer)
	p := &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, CleanStart: true, KeepAlive: l.keepAlive, ClientID: l.clientID,
		UsernameFlag: l.username != "", Username: l.username, PasswordFlag: l.password != "", Password: []byte(l.password),
		Properties: &packets.Properties{MaximumPacketSize: &most},
	}
	var out appender
	_, err := p.WriteTo(&out)
	return out.b, err
}

func (v5) publish(dst []byte, m *message) ([]byte, error) {
	text := byte(1)
	p := &packets.Publish{
		QoS: 1, Retain: m.retain, Topic: m.topic, PacketID: m.id, Payload: m.payload,
		Properties: &packets.Properties{ContentType: m.contentType, PayloadFormat: &text, User: make([]packets.User, len(m.attributes))},
	}
	for i, h := range m.attributes {
		p.Properties.User[i] = packets.User{Key: h.Key, Value: string(h.Value)}
	}
	out := appender{dst}
	if _, err := p.WriteTo(&out); err != nil {
		return dst, err
	}
	return out.b, nil
}

func (v5) parse(kind byte, body []byte) (answer, error) {
	a := answer{kind: kind}
	b, props := bytes.NewBuffer(body), &packets.Properties{}
	var err error
	switch {
	case kind == connack:
		p := &packets.Connack{Properties: props}
		err = p.Unpack(b)
		a.code, a.limits = p.ReasonCode, limitsOf(props)
	case kind == puback:
		p := &packets.Puback{Properties: props}
		err = p.Unpack(b)
		a.id, a.code = p.PacketID, p.ReasonCode
	case kind == disconnect && len(body) > 0:
		p := &packets.Disconnect{Properties: props}
		err = p.Unpack(b)
		a.code = p.ReasonCode
	case kind == disconnect || kind == pingresp && len(body) == 0:
	default:
		return a, fmt.Errorf("not an answer of MQTT 5: a packet of type %d with %d bytes", kind, len(body))
	}
	a.reason = props.ReasonString
	return a, err
}

func limitsOf(p *packets.Properties) limits {
	var l limits
	if p.ReceiveMaximum != nil {
		l.inFlight = int(*p.ReceiveMaximum)
	}
	if p.MaximumPacketSize != nil {
		l.packet = int(min(*p.MaximumPacketSize, math.MaxInt32))
	}
	if p.ServerKeepAlive != nil {
		l.keepAlive = int(*p.ServerKeepAlive)
	}
	l.noRetain = p.RetainAvailable != nil && *p.RetainAvailable == 0
	l.noQoS1 = p.MaximumQOS != nil && *p.MaximumQOS == 0
	return l
}

func (v5) refusal(code byte) string {
	switch code {
	case packets.ConnackUnsupportedProtocolVersion, 1: // a broker of 3.1.1 answers in its own way
		return "it does not speak MQTT 5: try version: 3"
	case packets.ConnackInvalidClientID:
		return "it does not take this client_id"
	case packets.ConnackBadUsernameOrPassword:
		return "wrong username or password"
	case packets.ConnackNotAuthorized:
		return "not authorized: wrong username, password or certificate"
	case packets.ConnackServerUnavailable, packets.ConnackServerBusy, packets.ConnackConnectionRateExceeded:
		return "it is busy or not available"
	case packets.ConnackUseAnotherServer, packets.ConnackServerMoved:
		return "it has moved: change the url"
	}
	return fmt.Sprintf("code 0x%02x", code)
}

func (v5) disconnect() []byte { return []byte{disconnect << 4, 0} }

// verdict is what becomes of a message by the code of its acknowledgment.
type verdict int

const (
	accepted verdict = iota
	again
	refused
)

// judge sorts the codes of a PUBACK. A quota passes, and a broker that limits the rate
// answers with it: it is no reason to give an event up.
func judge(code byte) (verdict, string) {
	switch code {
	case packets.PubackNotAuthorized:
		return refused, "the broker does not let us publish to this topic"
	case packets.PubackTopicNameInvalid:
		return refused, "the broker does not take this topic"
	case packets.DisconnectPacketTooLarge:
		return refused, "too large for the broker"
	case packets.PubackPayloadFormatInvalid:
		return refused, "the broker does not take this payload"
	case packets.PubackQuotaExceeded:
		return again, "the broker's quota is used up"
	}
	if code < 0x80 {
		return accepted, ""
	}
	return again, fmt.Sprintf("the broker answered with code 0x%02x", code)
}

// userProperties are the attributes as CloudEvents' MQTT binding carries them: under
// their own names, the content type in its own place.
func userProperties(r sink.Record) []sink.Header {
	const prefix, contentType = "ce_", "ce_datacontenttype"
	var out []sink.Header
	for _, h := range sink.Attributes(r) {
		if h.Key != contentType {
			out = append(out, sink.Header{Key: h.Key[len(prefix):], Value: h.Value})
		}
	}
	return out
}
