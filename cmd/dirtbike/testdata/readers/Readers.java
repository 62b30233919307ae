import com.fasterxml.jackson.databind.ObjectMapper;
import io.apicurio.registry.utils.converter.avro.AvroData;
import io.debezium.transforms.ExtractNewRecordState;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;
import org.apache.flink.formats.avro.registry.confluent.debezium.DebeziumAvroDeserializationSchema;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.sink.SinkRecord;

/**
 * Prints what other projects' readers make of topics, one JSON object a line: {"reader", "topic", "key", "value"}, and "kind"
 * of a row of Flink. Values are texts or null.
 *
 * <p>Arguments: the brokers, the registry's URL, and topics, each with the columns that Flink's user declares or without:
 * TOPIC or TOPIC=name:BIGINT,name:STRING,name:DATE,name:DECIMAL(p,s). Flink's reader runs for the latter.
 */
public final class Readers {
  private static final List<String> MODES = List.of("drop", "tombstone", "rewrite", "rewrite-with-tombstone", "delete-to-tombstone");
  private static final ObjectMapper JSON = new ObjectMapper();

  private final String registry;
  private final HttpClient http = HttpClient.newHttpClient();
  private final Map<Integer, org.apache.avro.Schema> schemas = new HashMap<>();
  private final AvroData connect = new AvroData(1000);
  private final Map<String, ExtractNewRecordState<SinkRecord>> unwraps = new LinkedHashMap<>();
  private final Map<String, RowType> declared = new LinkedHashMap<>();
  private final Map<String, DebeziumAvroDeserializationSchema> flinks = new HashMap<>();

  private Readers(String registry) {
    this.registry = registry;
    for (String mode : MODES) {
      ExtractNewRecordState<SinkRecord> unwrap = new ExtractNewRecordState<>();
      unwrap.configure(Map.of("delete.tombstone.handling.mode", mode, "add.fields", "op"));
      unwraps.put(mode, unwrap);
    }
  }

  public static void main(String[] args) throws Exception {
    Readers readers = new Readers(args[1]);
    List<String> topics = new ArrayList<>();
    for (String arg : List.of(args).subList(2, args.length)) {
      String[] parts = arg.split("=", 2);
      topics.add(parts[0]);
      if (parts.length == 2) {
        readers.declare(parts[0], parts[1]);
      }
    }
    readers.read(args[0], topics);
  }

  /** Makes Flink's reader of a topic, as `WITH ('format' = 'debezium-avro-confluent')` does. */
  private void declare(String topic, String columns) throws Exception {
    List<DataTypes.Field> fields = new ArrayList<>();
    for (String column : columns.split(",(?![0-9])")) {
      String[] parts = column.split(":", 2);
      fields.add(DataTypes.FIELD(parts[0], type(parts[1])));
    }
    RowType row = (RowType) DataTypes.ROW(fields).getLogicalType();
    DebeziumAvroDeserializationSchema flink = new DebeziumAvroDeserializationSchema(row, null, registry, null, Map.of());
    flink.open(null);
    declared.put(topic, row);
    flinks.put(topic, flink);
  }

  private static DataType type(String name) {
    if (name.startsWith("DECIMAL(")) {
      String[] digits = name.substring(8, name.length() - 1).split(",");
      return DataTypes.DECIMAL(Integer.parseInt(digits[0]), Integer.parseInt(digits[1]));
    }
    return switch (name) {
      case "BIGINT" -> DataTypes.BIGINT();
      case "STRING" -> DataTypes.STRING();
      case "DATE" -> DataTypes.DATE();
      default -> throw new IllegalArgumentException(name);
    };
  }

  /** Reads the topics from their start to where they end now, with read_committed. */
  private void read(String brokers, List<String> topics) throws Exception {
    Properties p = new Properties();
    p.put("bootstrap.servers", brokers);
    p.put("isolation.level", "read_committed");
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (String topic : topics) {
        for (PartitionInfo info : consumer.partitionsFor(topic)) {
          partitions.add(new TopicPartition(topic, info.partition()));
        }
      }
      consumer.assign(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      consumer.seekToBeginning(partitions);
      while (ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          take(record);
        }
      }
    }
  }

  private void take(ConsumerRecord<byte[], byte[]> record) throws Exception {
    SchemaAndValue key = decode(record.key());
    SchemaAndValue value = decode(record.value());
    SinkRecord in = new SinkRecord(record.topic(), record.partition(), key.schema(), key.value(), value.schema(), value.value(), record.offset(),
        record.timestamp(), TimestampType.CREATE_TIME);
    for (Map.Entry<String, ExtractNewRecordState<SinkRecord>> unwrap : unwraps.entrySet()) {
      SinkRecord out = unwrap.getValue().apply(in);
      if (out != null) {
        print(unwrap.getKey(), record.topic(), null, struct((Struct) out.key()), struct((Struct) out.value()));
      }
    }
    DebeziumAvroDeserializationSchema flink = flinks.get(record.topic());
    if (flink != null) {
      flink.deserialize(record.value(), new Collector<RowData>() {
        @Override
        public void collect(RowData row) {
          print("flink", record.topic(), row.getRowKind().shortString(), struct((Struct) key.value()), row(declared.get(record.topic()), (GenericRowData) row));
        }

        @Override
        public void close() {}
      });
    }
  }

  /** Is what Kafka Connect's Avro converter does with Confluent's framing. */
  private SchemaAndValue decode(byte[] framed) throws Exception {
    if (framed == null) {
      return SchemaAndValue.NULL;
    }
    org.apache.avro.Schema schema = schema(ByteBuffer.wrap(framed).getInt(1));
    Object datum = new GenericDatumReader<>(schema).read(null, DecoderFactory.get().binaryDecoder(framed, 5, framed.length - 5, null));
    return connect.toConnectData(schema, datum);
  }

  private org.apache.avro.Schema schema(int id) throws Exception {
    if (!schemas.containsKey(id)) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).build();
      String body = http.send(request, BodyHandlers.ofString()).body();
      schemas.put(id, new org.apache.avro.Schema.Parser().parse(JSON.readTree(body).get("schema").asText()));
    }
    return schemas.get(id);
  }

  private static Map<String, String> struct(Struct struct) {
    if (struct == null) {
      return null;
    }
    Map<String, String> fields = new LinkedHashMap<>();
    for (Field field : struct.schema().fields()) {
      fields.put(field.name(), text(struct.get(field)));
    }
    return fields;
  }

  private static Map<String, String> row(RowType type, GenericRowData row) {
    Map<String, String> fields = new LinkedHashMap<>();
    for (int i = 0; i < type.getFieldCount(); i++) {
      Object value = row.getField(i);
      if (value != null && type.getTypeAt(i).getTypeRoot() == LogicalTypeRoot.DATE) {
        value = LocalDate.ofEpochDay((int) value);
      }
      fields.put(type.getFieldNames().get(i), text(value));
    }
    return fields;
  }

  private static String text(Object value) {
    if (value instanceof java.util.Date date) {
      return date.toInstant().toString().substring(0, 10);
    }
    if (value instanceof BigDecimal number) {
      return number.toPlainString();
    }
    return value == null ? null : value.toString();
  }

  private static void print(String reader, String topic, String kind, Map<String, String> key, Map<String, String> value) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("reader", reader);
    line.put("topic", topic);
    line.put("kind", kind);
    line.put("key", key);
    line.put("value", value);
    try {
      System.out.println(JSON.writeValueAsString(line));
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }
}
