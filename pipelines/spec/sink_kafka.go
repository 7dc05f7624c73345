package spec

// Kafka is what a kafka sink adds.
type Kafka struct {
	// Brokers to start from, HOST:PORT each; [embedded] starts one in the process, for trying out.
	Brokers []string `yaml:"brokers" jsonschema:"required,minItems=1"`
	// Topic to write to.
	Topic string `yaml:"topic" jsonschema:"required"`
	// Compression of the messages.
	Compression string `yaml:"compression" jsonschema:"enum=none,enum=gzip,enum=snappy,enum=lz4,enum=zstd,default=none"`
	// Mode of CloudEvents: the whole event as JSON, or its attributes in headers alone.
	Mode string `yaml:"mode" jsonschema:"enum=structured,enum=binary,default=structured"`
	// Timestamp of a message: when it is sent, or the event's own time.
	Timestamp string `yaml:"timestamp" jsonschema:"enum=send,enum=event,default=send"`
	// Format of the messages: CloudEvents in JSON, Avro or Protobuf with a schema registry, or the shape of another system.
	Format string `yaml:"format" jsonschema:"enum=cloudevents,enum=avro,enum=protobuf,enum=deepstream,enum=dlstreamer,enum=frigate,default=cloudevents"`
	// Registry of the schemas of avro and protobuf.
	Registry *Registry `yaml:"registry"`
	// TLS turns encryption on; {} uses the system's authorities.
	TLS *TLS `yaml:"tls"`
	// SASL logs in.
	SASL *SASL `yaml:"sasl"`
}

// Embedded tells whether the broker is to be started in this process.
func (k *Kafka) Embedded() bool { return len(k.Brokers) == 1 && k.Brokers[0] == EmbeddedBroker }

// EmbeddedBroker in brokers asks for a broker inside the process.
const EmbeddedBroker = "embedded"

// TLS names the files of an encrypted connection.
type TLS struct {
	// CA is a PEM file of authorities to trust instead of the system's.
	CA string `yaml:"ca" path:"yes"`
	// Cert is a PEM file with this client's certificate.
	Cert string `yaml:"cert" path:"yes"`
	// Key is a PEM file with its private key.
	Key string `yaml:"key" path:"yes"`
	// ServerName to verify instead of the broker's host name.
	ServerName string `yaml:"server_name"`
}

// SASL is a login.
type SASL struct {
	// Mechanism of the login.
	Mechanism string `yaml:"mechanism" jsonschema:"required,enum=PLAIN,enum=SCRAM-SHA-256,enum=SCRAM-SHA-512"`
	// Username to log in with.
	Username string `yaml:"username" jsonschema:"required"`
	// Password to log in with.
	Password Secret `yaml:"password" jsonschema:"required"`
}
