// What Java's console tools cannot do. Arguments: the broker's address, then one of
//   topic NAME PARTITIONS [KEY=VALUE]...   creates a topic with settings
//   partitions NAME COUNT                  adds partitions to a topic
//   delete NAME                            deletes a topic
//   truncate NAME OFFSET                   deletes the records of partition 0 before an offset
//   scram USER PASSWORD                    makes a user for both SCRAM mechanisms
//   unscram USER MECHANISM                 takes one of them back
//   keyed NAME KEY...                      one record for each key, by the default partitioner;
//                                          writes the partition of each
//   transactions NAME RECORDS STEP...      to partition 0; each step is commit, abort or open:
//                                          one transaction of so many records, ended so

import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

public class Foreign {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", arguments[0]);
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
            switch (order) {
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
                case "delete" -> admin.deleteTopics(List.of(name)).all().get();
                case "truncate" -> admin.deleteRecords(Map.of(
                        new TopicPartition(name, 0),
                        RecordsToDelete.beforeOffset(Long.parseLong(rest.get(0)))))
                        .all().get();
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
}
