// What Java's console tools cannot do. Arguments: the broker's address, then one of
//   topic NAME PARTITIONS [KEY=VALUE]...   creates a topic with settings
//   partitions NAME COUNT                  adds partitions to a topic
//   delete NAME                            deletes a topic
//   truncate NAME OFFSET                   deletes the records of partition 0 before an offset
//   scram USER PASSWORD                    makes a user for both SCRAM mechanisms
//   unscram USER MECHANISM                 takes one of them back
//   permit USER OPERATION TOPIC            lets a user do this with topics of this prefix
//   keyed NAME KEY...                      one record for each key, by the default partitioner;
//                                          writes the partition of each
//   transactions NAME RECORDS STEP...      to partition 0; each step is commit, abort or open:
//                                          one transaction of so many records, ended so
// or `session`: then each line of the input is an order, its words apart by tabs, and answered by
// lines of which the last is `ok` or begins with `error`. Orders beside topic, partitions, delete:
//   config NAME KEY=VALUE                  changes a topic's setting
//   leaders NAME                           the leader of each partition, a line each
//   elect NAME                             makes each partition's first replica its leader
//   reassign NAME PARTITION BROKER,...     gives a partition these replicas in this order
//   producer P CODEC ID                    a producer P; transactional with an ID, without: -
//   begin P, flush P, commit P, abort P
//   send P NAME PARTITION KEY HEADER VALUE a header of this name whose value is null, or -
//   join GROUP NAME                        a member of a group, as long as the session lasts
//   read NAME ISOLATION                    partition, offset, timestamp, key, headers, value of
//                                          each record; a null is empty

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Foreign {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", arguments[0]);
        if (arguments[1].equals("session")) {
            session(settings);
            return;
        }
        String name = arguments[2];
        List<String> rest = Arrays.asList(arguments).subList(3, arguments.length);
        switch (arguments[1]) {
            case "keyed" -> keyed(settings, name, rest);
            case "transactions" -> transactions(settings, name, rest);
            default -> administer(settings, arguments[1], name, rest);
        }
    }

    static void administer(
            Map<String, Object> settings, String order, String name, List<String> rest)
            throws Exception {
        try (Admin admin = Admin.create(settings)) {
            Set<TopicPartition> all = new HashSet<>();
            if (Set.of("leaders", "elect").contains(order)) {
                var described = admin.describeTopics(List.of(name)).allTopicNames().get();
                for (var one : described.get(name).partitions()) {
                    all.add(new TopicPartition(name, one.partition()));
                    if (order.equals("leaders")) {
                        System.out.println(one.leader() == null ? -1 : one.leader().id());
                    }
                }
            }
            switch (order) {
                case "leaders" -> {}
                // An election that is not needed is no error.
                case "elect" -> admin.electLeaders(ElectionType.PREFERRED, all).partitions().get();
                case "reassign" -> {
                    List<Integer> replicas =
                            Arrays.stream(rest.get(1).split(",")).map(Integer::valueOf).toList();
                    admin.alterPartitionReassignments(Map.of(
                            new TopicPartition(name, Integer.parseInt(rest.get(0))),
                            Optional.of(new NewPartitionReassignment(replicas)))).all().get();
                }
                case "config" -> {
                    String[] parts = rest.get(0).split("=", 2);
                    var change = new AlterConfigOp(
                            new ConfigEntry(parts[0], parts[1]), AlterConfigOp.OpType.SET);
                    admin.incrementalAlterConfigs(Map.of(
                            new ConfigResource(ConfigResource.Type.TOPIC, name), List.of(change)))
                            .all().get();
                }
                case "topic" -> {
                    Map<String, String> configs = new HashMap<>();
                    for (String setting : rest.subList(1, rest.size())) {
                        String[] parts = setting.split("=", 2);
                        configs.put(parts[0], parts[1]);
                    }
                    NewTopic topic = new NewTopic(name, Integer.parseInt(rest.get(0)), (short) 1);
                    admin.createTopics(List.of(topic.configs(configs))).all().get();
                }
                case "partitions" -> admin.createPartitions(
                        Map.of(name, NewPartitions.increaseTo(Integer.parseInt(rest.get(0)))))
                        .all().get();
                case "delete" -> {
                    admin.deleteTopics(List.of(name)).all().get();
                    // The brokers hear of it after the controller.
                    while (admin.listTopics().names().get().contains(name)) {
                        Thread.sleep(20);
                    }
                }
                case "truncate" -> admin.deleteRecords(Map.of(
                        new TopicPartition(name, 0),
                        RecordsToDelete.beforeOffset(Long.parseLong(rest.get(0)))))
                        .all().get();
                case "permit" -> {
                    var topics = new ResourcePattern(
                            ResourceType.TOPIC, rest.get(1), PatternType.PREFIXED);
                    var operation = AclOperation.fromString(rest.get(0));
                    var entry = new AccessControlEntry(
                            "User:" + name, "*", operation, AclPermissionType.ALLOW);
                    admin.createAcls(List.of(new AclBinding(topics, entry))).all().get();
                }
                case "scram" -> {
                    for (ScramMechanism mechanism : List.of(
                            ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
                        var credential = new ScramCredentialInfo(mechanism, 4096);
                        UserScramCredentialAlteration made =
                                new UserScramCredentialUpsertion(name, credential, rest.get(0));
                        admin.alterUserScramCredentials(List.of(made)).all().get();
                    }
                }
                case "unscram" -> {
                    var mechanism = ScramMechanism.fromMechanismName(rest.get(0));
                    UserScramCredentialAlteration taken =
                            new UserScramCredentialDeletion(name, mechanism);
                    admin.alterUserScramCredentials(List.of(taken)).all().get();
                }
                default -> throw new IllegalArgumentException(order);
            }
        }
    }

    static void keyed(Map<String, Object> settings, String name, List<String> keys)
            throws Exception {
        try (var producer = producer(settings)) {
            for (String key : keys) {
                var sent = producer.send(new ProducerRecord<>(name, key, "value"));
                System.out.println(sent.get().partition());
            }
        }
    }

    static void transactions(Map<String, Object> settings, String name, List<String> rest)
            throws Exception {
        int records = Integer.parseInt(rest.get(0));
        settings.put("transactional.id", UUID.randomUUID().toString());
        // Not closed where a transaction stays open: that would abort it.
        var producer = producer(settings);
        producer.initTransactions();
        for (String step : rest.subList(1, rest.size())) {
            producer.beginTransaction();
            for (int i = 0; i < records; i++) {
                producer.send(new ProducerRecord<>(name, 0, null, step));
            }
            producer.flush();
            switch (step) {
                case "commit" -> producer.commitTransaction();
                case "abort" -> producer.abortTransaction();
                default -> Runtime.getRuntime().halt(0);
            }
        }
        producer.close();
    }

    static KafkaProducer<String, String> producer(Map<String, Object> settings) {
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    static final Map<String, Sender> senders = new HashMap<>();

    record Sender(KafkaProducer<String, String> producer, List<Future<RecordMetadata>> sent) {}

    static final List<KafkaConsumer<String, String>> members = new ArrayList<>();

    static void session(Map<String, Object> settings) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.setOut(new PrintStream(
                new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null;) {
            List<String> words = Arrays.asList(line.split("\t", -1));
            try {
                order(new HashMap<>(settings), words);
                System.out.println("ok");
            } catch (Exception error) {
                System.out.println("error " + error);
            }
        }
        Runtime.getRuntime().halt(0);
    }

    static void order(Map<String, Object> settings, List<String> words) throws Exception {
        String name = words.get(1);
        Sender sender = senders.get(name);
        switch (words.get(0)) {
            case "producer" -> {
                settings.put("compression.type", words.get(2));
                settings.put("linger.ms", 20);
                if (!words.get(3).equals("-")) {
                    settings.put("transactional.id", words.get(3));
                }
                var producer = producer(settings);
                if (!words.get(3).equals("-")) {
                    producer.initTransactions();
                }
                senders.put(name, new Sender(producer, new ArrayList<>()));
            }
            case "send" -> {
                int partition = Integer.parseInt(words.get(3));
                var sent = new ProducerRecord<>(
                        words.get(2), partition, words.get(4), words.get(6));
                if (!words.get(5).equals("-")) {
                    sent.headers().add(words.get(5), null);
                }
                sender.sent.add(sender.producer.send(sent));
            }
            case "begin" -> sender.producer.beginTransaction();
            case "flush" -> {
                sender.producer.flush();
                for (var sent : sender.sent) {
                    sent.get();
                }
                sender.sent.clear();
            }
            case "commit" -> sender.producer.commitTransaction();
            case "abort" -> sender.producer.abortTransaction();
            case "join" -> {
                settings.put("group.id", name);
                settings.put("client.id", "neighbour");
                settings.put("group.protocol", "classic");
                var member = new KafkaConsumer<>(
                        settings, new StringDeserializer(), new StringDeserializer());
                members.add(member);
                member.subscribe(List.of(words.get(2)));
                while (member.assignment().isEmpty()) {
                    member.poll(java.time.Duration.ofMillis(100));
                }
            }
            case "read" -> read(settings, name, words.get(2));
            default -> administer(settings, words.get(0), name, words.subList(2, words.size()));
        }
    }

    static void read(Map<String, Object> settings, String name, String isolation) {
        settings.put("isolation.level", isolation);
        var text = new StringDeserializer();
        try (var consumer = new KafkaConsumer<>(settings, text, text)) {
            List<TopicPartition> all = consumer.partitionsFor(name).stream()
                    .map(one -> new TopicPartition(name, one.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            var ends = consumer.endOffsets(all);
            while (all.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
                for (var found : consumer.poll(Duration.ofMillis(200))) {
                    List<String> headers = new ArrayList<>();
                    for (Header header : found.headers()) {
                        byte[] value = header.value() == null ? new byte[0] : header.value();
                        headers.add(header.key() + "="
                                + new String(value, StandardCharsets.UTF_8));
                    }
                    System.out.println(String.join("\t",
                            String.valueOf(found.partition()), String.valueOf(found.offset()),
                            String.valueOf(found.timestamp()),
                            Objects.requireNonNullElse(found.key(), ""),
                            String.join(",", headers),
                            Objects.requireNonNullElse(found.value(), "")));
                }
            }
        }
    }
}
