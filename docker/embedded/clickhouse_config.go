package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// keepAliveQuery never ends: the library's server lives as long as its command line runs. A short sleep lets KILL QUERY
// end it soon.
const (
	keepAlivePrefix = "SELECT sleepEachRow(0.2) "
	keepAliveQuery  = keepAlivePrefix + "FROM numbers(1000000000) SETTINGS max_block_size=1 FORMAT Null"
)

// The memory of the server and of one query are fit for a laptop.
var clickHouseServerXML = template.Must(template.New("config").Parse(`<clickhouse>
  <logger>
    <level>information</level>
    <log>{{html .Log}}</log>
    <errorlog>{{html .ErrorLog}}</errorlog>
    <size>50M</size>
    <count>2</count>
  </logger>
  <timezone>UTC</timezone>
  <path>{{html .Data}}/</path>
  <tmp_path>{{html .Data}}/tmp/</tmp_path>
  <user_files_path>{{html .Data}}/user_files/</user_files_path>
  <format_schema_path>{{html .Data}}/format_schemas/</format_schema_path>
  <users_config>{{html .Users}}</users_config>
{{- if .Program}}
  <user_directories>
    <users_xml><path>{{html .Users}}</path></users_xml>
    <local_directory><path>{{html .Data}}/access/</path></local_directory>
  </user_directories>
{{- end}}
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{{.TCP}}</tcp_port>
  <http_port>{{.HTTP}}</http_port>
  <max_server_memory_usage>4294967296</max_server_memory_usage>
  <mark_cache_size>268435456</mark_cache_size>
</clickhouse>
`))

// The local session of the library is user default without a password, and nothing can change that: it gets the two
// grants the command line needs and no other.
var clickHouseUsersXML = template.Must(template.New("users").Parse(`<clickhouse>
  <profiles>
    <default><max_memory_usage>2147483648</max_memory_usage></default>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
      </grants>
    </default>
    <{{.User}}>
      <password_sha256_hex>{{.PasswordHash}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT ALL ON *.* WITH GRANT OPTION</query>
      </grants>
    </{{.User}}>
  </users>
</clickhouse>
`))

// clickHouseConfig is what the two templates need.
type clickHouseConfig struct {
	Log, ErrorLog, Data, Users string
	Program                    bool // a full server, which has writable user storage
	TCP, HTTP                  int
	User, PasswordHash         string
}

func (c *ClickHouse) configPath() string { return filepath.Join(c.dir, "config.xml") }

func (c *ClickHouse) writeConfig(tcp, http int) error {
	hash := sha256.Sum256([]byte(c.password))
	cfg := clickHouseConfig{
		Log: c.workDir.logPath("clickhouse"), ErrorLog: c.workDir.logPath("clickhouse.err"), Data: c.DataDir(), Users: filepath.Join(c.dir, "users.xml"),
		Program: c.engine.program != "", TCP: tcp, HTTP: http, User: clickHouseUser, PasswordHash: hex.EncodeToString(hash[:]),
	}
	return errors.Join(writeTemplate(c.configPath(), clickHouseServerXML, cfg), writeTemplate(cfg.Users, clickHouseUsersXML, cfg))
}

func writeTemplate(path string, t *template.Template, data clickHouseConfig) error {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFileSync(path, b.Bytes())
}

// spec is the library in a child of ours, with a front, or the program.
func (c *ClickHouse) spec() spec {
	out := c.workDir.logPath("clickhouse.out")
	if c.engine.program != "" {
		args := []string{"server", "--config-file=" + c.configPath()}
		return spec{name: "clickhouse", path: c.engine.program, args: args, env: append(os.Environ(), "TZ=UTC"), dir: c.dir, log: out}
	}
	ports := c.workDir.state.Ports
	s := selfSpec("clickhouse", out, job{Name: "clickhouse", Lib: c.engine.lib, TCP: [2]int{c.tcp, ports[libraryTCP]}, HTTP: [2]int{c.http, ports[libraryHTTP]}, Args: []string{
		"clickhouse-local", "--config-file=" + c.configPath(), "--path=" + c.DataDir(), "--log-level=information",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; " + keepAliveQuery,
	}})
	s.dir = c.dir
	return s
}
