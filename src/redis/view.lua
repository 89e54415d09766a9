-- Writes messages to the query view: a command each costs the service five times as much.
-- KEYS: one for each message. ARGV: seconds that they live, then the messages.
for at, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[at + 1], 'EX', ARGV[1])
end
return 'OK'
