package spec

import (
	"time"

	"sightline/sink/webhook"
)

// Webhook is what a webhook sink adds.
type Webhook struct {
	// URL that events are posted to, https:// or http://. A token in it is better put into headers or secret.
	URL string `yaml:"url" jsonschema:"required"`
	// Secret that requests are signed with (Standard Webhooks, HMAC-SHA256): whsec_ and base64, or any text; two of them, separated by a blank, sign side by side. A ${file:…} is read again at each request. When absent nothing is signed.
	Secret Secret `yaml:"secret"`
	// Headers of each request besides, such as Authorization; their values are kept secret.
	Headers map[string]Secret `yaml:"headers"`
	// Username for Basic authentication.
	Username string `yaml:"username"`
	// Password for Basic authentication; a ${file:…} is read again at each request.
	Password Secret `yaml:"password"`
	// Format of the events: CloudEvents, or the shape of another system.
	Format string `yaml:"format" jsonschema:"enum=cloudevents,enum=deepstream,enum=dlstreamer,enum=frigate,default=cloudevents"`
	// Batch is how many events a request has at most; above 1 each request is a JSON array.
	Batch int `yaml:"batch" jsonschema:"minimum=1,maximum=1000,default=1"`
	// Parallel is how many requests may be under way; those of one stream follow each other.
	Parallel int `yaml:"parallel" jsonschema:"minimum=1,maximum=64,default=4"`
	// Timeout of a request, its answer included.
	Timeout time.Duration `yaml:"timeout" jsonschema:"default=10s"`
	// TLS of an https:// address; when absent, the system's authorities are trusted. The files are read again at each connection.
	TLS *TLS `yaml:"tls"`
}

// Config is the sink's own configuration.
func (w *Webhook) Config() (webhook.Config, error) {
	c := webhook.Config{
		URL: w.URL, Username: w.Username, Batch: w.Batch, Parallel: w.Parallel, Timeout: w.Timeout, TLS: w.TLS.sink(),
		Headers: map[string]func() string{},
	}
	if !w.Secret.IsZero() {
		c.Secret = w.Secret.Current
	}
	if !w.Password.IsZero() {
		c.Password = w.Password.Current
	}
	for name, value := range w.Headers {
		c.Headers[name] = value.Current
	}
	var err error
	c.Format, err = payload(w.Format)
	return c, err
}

func (c *checker) webhook(s *Sink, path string) {
	c.format(s, s.Webhook.Format, "", nil, path)
	if _, written := c.origins[path+".secret"]; written && s.Webhook.Secret.IsZero() && !c.failed(path+".secret") {
		c.bad(path+".secret", "is empty: leave it out where nothing is to be signed")
	}
	if cfg, err := s.Webhook.Config(); err == nil && !c.failed(path) {
		c.faults(path, cfg.Validate())
	}
}
