-- Tries every command that the service needs on a key that nobody has, in a form that writes
-- nothing: too many words, only where it exists, only what is there.
-- KEYS: the key. Answers OK, or what Redis said to the first command that is not permitted.
local key = KEYS[1]
local commands = {
  {'HSET', key, 'f', 'v', 'f'}, {'HMGET', key, 'f'}, {'HSCAN', key, '0'}, {'HDEL', key, 'f'},
  {'XADD', key, 'NOMKSTREAM', '1-1', 'f', 'v'}, {'XLEN', key}, {'XRANGE', key, '-', '+'},
  {'XREVRANGE', key, '+', '-'}, {'XTRIM', key, 'MAXLEN', '0'}, {'RENAME', key, key},
  {'PERSIST', key}, {'EXPIRE', key, '1'}, {'UNLINK', key}, {'SET', key, 'v', 'XX', 'EX', '1'}
}
-- As Redis 6.2, 7.0, and later ones word it.
local words = {'NOPERM', 'The user executing the script', 'ACL failure in script'}
for _, command in ipairs(commands) do
  local answer = redis.pcall(unpack(command))
  for _, word in ipairs(words) do
    if type(answer) == 'table' and answer.err and string.find(answer.err, word, 1, true) then
      return redis.error_reply('NOPERM ' .. command[1] .. ': ' .. answer.err)
    end
  end
end
return 'OK'
