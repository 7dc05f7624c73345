package format

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Subject strategies: under which name the schema of an event is registered.
const (
	TopicName       = "topic_name"        // TOPIC-value
	RecordName      = "record_name"       // the schema's full name
	TopicRecordName = "topic_record_name" // TOPIC-NAME
)

// Registry is a schema registry that speaks Confluent's API.
type Registry struct {
	URL      string        // http or https, without credentials
	Username string        // Basic authentication; "" is none
	Password func() string // asked for at each request, so that it may change; never part of an error
	CA       string        // PEM file of authorities to trust; "" is the system's
	Subject  string        // a strategy; "" is TopicRecordName
	LookUp   bool          // only look schemas up that somebody else registered
	Timeout  time.Duration // of one request; 0 is 5 s
}

// RegistryError is a schema that has no id yet, because the registry could not be
// asked or refused it. It may be there later.
type RegistryError struct {
	Subject string
	Refused bool // this schema, by a registry that is well
	Err     error
}

// Temporary tells that the event is not at fault: no other would have got through.
func (e *RegistryError) Temporary() bool { return !e.Refused }

func (e *RegistryError) Error() string {
	return fmt.Sprintf("schema registry, subject %s: %v", e.Subject, e.Err)
}

func (e *RegistryError) Unwrap() error { return e.Err }

func (r Registry) validate() error {
	var errs []error
	u, err := url.Parse(r.URL)
	switch {
	case r.URL == "":
		errs = append(errs, errors.New("registry.url: missing"))
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		errs = append(errs, errors.New("registry.url: want http://HOST:PORT or https://HOST:PORT"))
	case u.User != nil:
		errs = append(errs, errors.New("registry.url: holds a login; it goes into username and password"))
	}
	switch r.Subject {
	case "", TopicName, RecordName, TopicRecordName:
	default:
		errs = append(errs, fmt.Errorf("registry.subject: %q is none of topic_name, record_name, topic_record_name", r.Subject))
	}
	return errors.Join(errs...)
}
