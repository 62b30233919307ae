package embedded

import "fmt"

// KafkaLogin is a user of Apache Kafka's listener for TLS and logins (SASL_SSL), in addition to the plain one. The
// mechanisms PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 know the user. The passwords of SCRAM are stored when Kafka's
// storage is made: later they are changed as on any cluster.
type KafkaLogin struct {
	// User and Password, of letters and digits.
	User, Password string
	// KeyStore is a PEM file with the broker's key (PKCS #8) and its certificate.
	KeyStore string
}

// properties are those of the listener.
func (l *KafkaLogin) properties() []string {
	if l == nil {
		return nil
	}
	const (
		listener = "listener.name.secure."
		module   = "org.apache.kafka.common.security."
		scram    = "=" + module + "scram.ScramLoginModule required;"
	)
	return []string{
		listener + "ssl.keystore.type=PEM",
		listener + "ssl.keystore.location=" + l.KeyStore,
		listener + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		fmt.Sprintf(`%splain.sasl.jaas.config=%splain.PlainLoginModule required user_%s="%s";`, listener, module, l.User, l.Password),
		listener + "scram-sha-256.sasl.jaas.config" + scram,
		listener + "scram-sha-512.sasl.jaas.config" + scram,
	}
}

// scram are the arguments that store the user when the storage is made.
func (l *KafkaLogin) scram() (args []string) {
	if l == nil {
		return nil
	}
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, l.User, l.Password))
	}
	return args
}
