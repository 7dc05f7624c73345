package detect

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Source is the event's CloudEvents source.
func (e *Event) Source() string { return Source(e.Site, e.Stream) }

// PartitionKey is the key that keeps one stream's events in order.
func (e *Event) PartitionKey() string { return e.Site + "/" + e.Stream }

// Source is the CloudEvents source of a stream's events.
func Source(site, stream string) string { return "/sightline/" + site + "/" + stream }

// EventID is the id of the ordinal-th event of a type that a rule made about a
// track in one epoch of a source. rule and track are empty where none is
// involved; a window's ordinal is its start in microseconds since 1970.
//
// It is a UUIDv5 (RFC 4122) in the namespace UUIDv5(URL, "urn:sightline:event"),
// which is dc270523-76ba-5d12-94c4-4bbcc7f6bcae, of the six parts, the type without
// "sightline." and the ordinal in decimal, joined by line feeds. In Python:
//
//	uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "urn:sightline:event"), "\n".join(parts))
func EventID(source, epoch string, typ Type, rule, track string, ordinal uint64) string {
	name := strings.Join([]string{source, epoch, string(typ), rule, track, strconv.FormatUint(ordinal, 10)}, "\n")
	return uuid.NewSHA1(eventNamespace, []byte(name)).String()
}

// eventNamespace is a constant that Go cannot write as one.
var eventNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:sightline:event"))
