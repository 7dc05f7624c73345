package spec

// Kafka is what a kafka sink adds.
type Kafka struct {
	// Brokers to start from, HOST:PORT each; [embedded] starts one in the process, for trying out.
	Brokers []string `yaml:"brokers" jsonschema:"required,minItems=1"`
	// Topic to write to: a template over {site} {stream} {type} {zone} {line} {rule} {class} {severity}, such as sightline.{site}.{type}.
	Topic string `yaml:"topic" jsonschema:"required"`
	// Key of the messages, among which order is kept: a template over the same and {track}; SITE/STREAM when absent.
	Key string `yaml:"key"`
	// PartitionBy is a shorthand for key: order is kept in each stream, track, zone or site.
	PartitionBy string `yaml:"partition_by" jsonschema:"enum=stream,enum=track,enum=zone,enum=site"`
	// CreateTopic makes topics that do not exist, and says so in the log; when absent they must exist.
	CreateTopic *CreateTopic `yaml:"create_topic"`
	// MaxMessage is the largest message: an event beyond it loses its path, then goes to the dead letters. The broker's max.message.bytes is obeyed as well.
	MaxMessage Size `yaml:"max_message" jsonschema:"default=1MB"`
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

// CreateTopic is how topics are made.
type CreateTopic struct {
	// Partitions of a topic; the broker's default when absent.
	Partitions int `yaml:"partitions" jsonschema:"minimum=1,maximum=10000"`
	// Replication is how many brokers hold each partition; the broker's default when absent.
	Replication int `yaml:"replication" jsonschema:"minimum=1,maximum=100"`
	// Config of a topic, such as retention.ms.
	Config map[string]string `yaml:"config"`
}

// Embedded tells whether the broker is to be started in this process.
func (k *Kafka) Embedded() bool { return len(k.Brokers) == 1 && k.Brokers[0] == EmbeddedBroker }

// EmbeddedBroker in brokers asks for a broker inside the process.
const EmbeddedBroker = "embedded"

// TLS names the files of an encrypted connection. They are read again when they change.
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

// SASL is a login. What comes from a ${file:…} is read again at each login.
type SASL struct {
	// Mechanism of the login.
	Mechanism string `yaml:"mechanism" jsonschema:"required,enum=PLAIN,enum=SCRAM-SHA-256,enum=SCRAM-SHA-512,enum=OAUTHBEARER"`
	// Username to log in with; not for OAUTHBEARER.
	Username string `yaml:"username"`
	// Password to log in with; not for OAUTHBEARER.
	Password Secret `yaml:"password"`
	// Token to log in with, for OAUTHBEARER; ${file:…} names a file that is replaced before the token expires.
	Token Secret `yaml:"token"`
}

// Bearer tells whether the login is by token.
func (s *SASL) Bearer() bool { return s.Mechanism == "OAUTHBEARER" }
