package spec

// Registry is where the schemas of avro and protobuf are registered.
type Registry struct {
	// URL of a registry that speaks Confluent's API, such as https://registry:8081.
	URL string `yaml:"url" jsonschema:"required"`
	// Username for Basic authentication.
	Username string `yaml:"username"`
	// Password for Basic authentication.
	Password Secret `yaml:"password"`
	// CA is a PEM file of authorities to trust instead of the system's.
	CA string `yaml:"ca" path:"yes"`
	// Subject says under which name a schema is registered: TOPIC-value, the schema's own name, or TOPIC-NAME.
	Subject string `yaml:"subject" jsonschema:"enum=topic_name,enum=record_name,enum=topic_record_name,default=topic_record_name"`
	// Register schemas that are not there yet; false only looks up what somebody else registered.
	Register bool `yaml:"register" jsonschema:"default=true"`
}
