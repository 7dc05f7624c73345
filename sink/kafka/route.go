package kafka

import (
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strings"

	"sightline/detect"
	"sightline/sink"
)

// maxTopic is how long Kafka lets a topic's name be.
const maxTopic = 249

// topicPlaceholders leave out track: every object would have a topic of its own.
func topicPlaceholders() []string {
	return slices.DeleteFunc(sink.Placeholders(), func(name string) bool { return name == "track" })
}

// ParseTopic reads the template of a topic's name and checks that what it expands
// to is one.
func ParseTopic(text string) (sink.Template, error) {
	t, err := sink.ParseTemplate(text, topicPlaceholders()...)
	if err != nil {
		return t, err
	}
	name := t.Expand(&detect.Event{}, clean)
	if !regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`).MatchString(name) || name == "." || name == ".." {
		return t, fmt.Errorf("%q is not a topic's name: letters, digits, '.', '_' and '-', at most %d", text, maxTopic)
	}
	return t, nil
}

// Partitionings are the words partition_by takes, and the templates they stand for.
func partitionings() map[string]string {
	return map[string]string{
		"stream": "", "site": "{site}", "track": "{site}/{stream}/{track}", "zone": "{site}/{stream}/{zone}",
	}
}

// keyTemplate is what a message's key is made of; it expands to "" for SITE/STREAM.
func keyTemplate(key, by string) (sink.Template, error) {
	text, known := partitionings()[by]
	switch {
	case by == "":
		text = key
	case key != "":
		return sink.Template{}, errors.New("partition_by: goes without key: one of them says it")
	case !known:
		return sink.Template{}, fmt.Errorf("partition_by: %q is none of stream, track, zone, site", by)
	}
	t, err := sink.ParseTemplate(text)
	if err != nil {
		return t, fmt.Errorf("key: %w", err)
	}
	return t, nil
}

// Route names the event's topic and key. What a value has that a topic's name may
// not have becomes '_', and a name that is too long ends in a checksum of itself.
func (s *Sink) Route(ev *detect.Event) sink.Route {
	r := sink.Route{Topic: s.topic.Expand(ev, clean), Key: s.key.Expand(ev, nil)}
	if len(r.Topic) > maxTopic {
		r.Topic = fmt.Sprintf("%s-%08x", r.Topic[:maxTopic-9], crc32.ChecksumIEEE([]byte(r.Topic)))
	}
	if r.Key == ev.PartitionKey() {
		r.Key = "" // it is the same, however it is written
	}
	return r
}

// clean makes a value fit for a topic's name.
func clean(value string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, value)
}
