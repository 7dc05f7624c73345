package mqtt

import (
	"bytes"
	"fmt"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// v3 is MQTT 3.1.1.
type v3 struct{}

func (v3) connect(l login) ([]byte, error) {
	p := &packets.ConnectPacket{
		FixedHeader:  packets.FixedHeader{MessageType: packets.Connect},
		ProtocolName: "MQTT", ProtocolVersion: 4, CleanSession: true, Keepalive: l.keepAlive, ClientIdentifier: l.clientID,
		UsernameFlag: l.username != "", Username: l.username, PasswordFlag: l.password != "", Password: []byte(l.password),
	}
	var out appender
	err := p.Write(&out)
	return out.b, err
}

func (v3) publish(dst []byte, m *message) ([]byte, error) {
	p := &packets.PublishPacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Publish, Qos: 1, Retain: m.retain},
		TopicName:   m.topic, MessageID: m.id, Payload: m.payload,
	}
	out := appender{dst}
	if err := p.Write(&out); err != nil {
		return dst, err
	}
	return out.b, nil
}

func (v3) parse(kind byte, body []byte) (answer, error) {
	a := answer{kind: kind}
	if want, ok := map[byte]int{connack: 2, puback: 2, pingresp: 0}[kind]; !ok || len(body) != want {
		return a, fmt.Errorf("not an answer of MQTT 3.1.1: a packet of type %d with %d bytes", kind, len(body))
	}
	switch kind {
	case connack:
		var p packets.ConnackPacket
		if err := p.Unpack(bytes.NewReader(body)); err != nil {
			return a, err
		}
		a.code = p.ReturnCode
	case puback:
		var p packets.PubackPacket
		if err := p.Unpack(bytes.NewReader(body)); err != nil {
			return a, err
		}
		a.id = p.MessageID
	}
	return a, nil
}

func (v3) refusal(code byte) string {
	switch code {
	case packets.ErrRefusedBadProtocolVersion:
		return "it does not speak MQTT 3.1.1: try version: 5"
	case packets.ErrRefusedIDRejected:
		return "it does not take this client_id"
	case packets.ErrRefusedServerUnavailable:
		return "it is not available"
	case packets.ErrRefusedBadUsernameOrPassword:
		return "wrong username or password"
	case packets.ErrRefusedNotAuthorised:
		return "not authorized: wrong username, password or certificate"
	}
	return fmt.Sprintf("code %d", code)
}

func (v3) disconnect() []byte { return []byte{disconnect << 4, 0} }
