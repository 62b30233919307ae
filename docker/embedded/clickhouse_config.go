package embedded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Memory of the server and of one query, in bytes: fit for a laptop.
const (
	clickHouseServerMemory = 4 << 30
	clickHouseQueryMemory  = 2 << 30
)

// keepAliveQuery never ends: the library's server lives as long as its command line runs. A short sleep lets KILL QUERY
// end it soon.
const (
	keepAlivePrefix = "SELECT sleepEachRow(0.2) "
	keepAliveQuery  = keepAlivePrefix + "FROM numbers(1000000000) SETTINGS max_block_size=1 FORMAT Null"
)

var clickHouseServerXML = template.Must(template.New("config").Funcs(xmlFuncs).Parse(`<clickhouse>
  <logger>
    <level>information</level>
    <log>{{xml .Log}}</log>
    <errorlog>{{xml .ErrorLog}}</errorlog>
    <size>50M</size>
    <count>2</count>
  </logger>
  <timezone>UTC</timezone>
  <path>{{xml .Data}}/</path>
  <tmp_path>{{xml .Data}}/tmp/</tmp_path>
  <user_files_path>{{xml .Data}}/user_files/</user_files_path>
  <format_schema_path>{{xml .Data}}/format_schemas/</format_schema_path>
  <users_config>{{xml .Users}}</users_config>
{{- if .Program}}
  <user_directories>
    <users_xml><path>{{xml .Users}}</path></users_xml>
    <local_directory><path>{{xml .Data}}/access/</path></local_directory>
  </user_directories>
{{- end}}
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{{.TCP}}</tcp_port>
  <http_port>{{.HTTP}}</http_port>
  <max_server_memory_usage>{{.ServerMemory}}</max_server_memory_usage>
  <mark_cache_size>268435456</mark_cache_size>
</clickhouse>
`))

// The local session of the library is user default without a password, and nothing can change that: it gets the two
// grants the command line needs and no other.
var clickHouseUsersXML = template.Must(template.New("users").Funcs(xmlFuncs).Parse(`<clickhouse>
  <profiles>
    <default><max_memory_usage>{{.QueryMemory}}</max_memory_usage></default>
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

var xmlFuncs = template.FuncMap{"xml": escapeXML}

func escapeXML(s string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

// clickHouseConfig is what the two templates need.
type clickHouseConfig struct {
	Log, ErrorLog, Data, Users string
	Program                    bool // a full server, which has writable user storage
	TCP, HTTP                  int
	ServerMemory, QueryMemory  int64
	User, PasswordHash         string
}

func (c *ClickHouse) configPath() string { return filepath.Join(c.dir, "config.xml") }

func (c *ClickHouse) writeConfig(tcp, http int) error {
	hash := sha256.Sum256([]byte(c.password))
	cfg := clickHouseConfig{
		Log: filepath.Join(c.logDir, "clickhouse.log"), ErrorLog: filepath.Join(c.logDir, "clickhouse.err.log"),
		Data: c.DataDir(), Users: filepath.Join(c.dir, "users.xml"), Program: c.engine.program != "",
		TCP: tcp, HTTP: http, ServerMemory: clickHouseServerMemory, QueryMemory: clickHouseQueryMemory,
		User: clickHouseUser, PasswordHash: hex.EncodeToString(hash[:]),
	}
	return errors.Join(
		writeTemplate(c.configPath(), clickHouseServerXML, cfg),
		writeTemplate(cfg.Users, clickHouseUsersXML, cfg),
	)
}

func writeTemplate(path string, t *template.Template, data clickHouseConfig) error {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFileSync(path, b.Bytes())
}

// spec is the library in a child of ours, with a front, or the program.
func (c *ClickHouse) spec() (spec, error) {
	out := filepath.Join(c.logDir, "clickhouse.out.log")
	if c.engine.program != "" {
		return spec{
			name: "clickhouse", path: c.engine.program, args: []string{"server", "--config-file=" + c.configPath()},
			env: append(os.Environ(), "TZ=UTC"), dir: c.dir, log: out,
		}, c.writeConfig(c.tcp, c.http)
	}
	ports := map[string]int{"for clients": c.tcp, "for clients, HTTP": c.http}
	tcp, err := freePort(ports)
	if err != nil {
		return spec{}, err
	}
	ports["of the library"] = tcp
	http, err := freePort(ports)
	if err != nil {
		return spec{}, err
	}
	s, err := selfSpec("clickhouse", out, job{Name: "clickhouse", Lib: c.engine.lib, TCP: [2]int{c.tcp, tcp}, HTTP: [2]int{c.http, http}, Args: []string{
		"clickhouse-local", "--config-file=" + c.configPath(), "--path=" + c.DataDir(), "--log-level=information",
		"--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; " + keepAliveQuery,
	}})
	s.dir = c.dir
	return s, errors.Join(err, c.writeConfig(tcp, http))
}
