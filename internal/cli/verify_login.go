package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"sightline/sink/kafka"
)

// kafkaLogin is the flags of commands that connect to a Kafka that is not in a file.
type kafkaLogin struct {
	tls           bool
	ca, cert, key string
	sasl, user    string
}

func (l *kafkaLogin) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&l.tls, "tls", false, "connect by TLS, trusting the system's authorities")
	f.StringVar(&l.ca, "ca", "", "connect by TLS, trusting the certificates in this PEM `FILE`")
	f.StringVar(&l.cert, "cert", "", "client certificate, a PEM `FILE`")
	f.StringVar(&l.key, "key", "", "its key, a PEM `FILE`")
	f.StringVar(&l.sasl, "sasl", "", "log in by this `MECHANISM`: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
	f.StringVar(&l.user, "user", "", "`NAME` to log in with")
}

// apply adds the login to cfg.
func (l kafkaLogin) apply(sh *shell, cfg *kafka.Config) error {
	if l.tls || l.ca != "" || l.cert != "" {
		cfg.TLS = &kafka.TLS{CA: l.ca, Cert: l.cert, Key: l.key}
	}
	if l.sasl == "" {
		if l.user != "" {
			return &ExitError{exitUsage, errors.New("--user needs --sasl")}
		}
		return nil
	}
	variable := "SIGHTLINE_KAFKA_PASSWORD"
	if l.sasl == kafka.OAuthBearer {
		variable = "SIGHTLINE_KAFKA_TOKEN"
	}
	secret, ok := sh.env(variable)
	if !ok {
		return &ExitError{exitUsage, errors.New("--sasl " + l.sasl + " reads its secret from " + variable + ", which is not set")}
	}
	cfg.SASL = &kafka.SASL{Mechanism: l.sasl, Username: l.user}
	if l.sasl == kafka.OAuthBearer {
		cfg.SASL.Token = func() string { return secret }
	} else {
		cfg.SASL.Password = func() string { return secret }
	}
	return nil
}
