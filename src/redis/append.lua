-- Appends one entry to the changelog, if we own the shard and the chain is unbroken.
-- KEYS: meta, log. ARGV: token, previous, sequence, newest ms, trim ms, blob, tenure.
-- Sequence numbers are compared as text: Lua's numbers are exact only up to 2^53.
local tok, ten, seq, lastid, by =
  unpack(redis.call('HMGET', KEYS[1], 'tok', 'ten', 'seq', 'lastid', 'by'))
local writer = ARGV[1] .. ':' .. ARGV[7]
if not tok then return 'LOST' end
if tok ~= ARGV[1] then return 'FENCED' end
-- Ours, but of an earlier time with the shard.
if tonumber(ten or '0') > tonumber(ARGV[7]) then return 'FENCED' end
-- The same number may be another's: an owner's whose claim was lost, or ours at an earlier time.
if seq == ARGV[3] and by == writer then return 'DUP' end
if seq ~= ARGV[2] then return 'GAP' end

local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if seq ~= '0' and not last then return 'LOST' end
if (last and last[1] or '0-0') ~= lastid then return 'GAP' end

-- An id never goes back, and is not older than the newest pane: so trimming by id is safe.
local last_ms, last_n = string.match(lastid, '(%d+)-(%d+)')
local ms, n = math.max(tonumber(last_ms), tonumber(ARGV[4])), 1
if ms == tonumber(last_ms) then n = tonumber(last_n) + 1 end
local id = string.format('%.0f-%.0f', ms, n)
-- The last entry stays even when it has expired: it is what the chain is checked against.
local keep_from = string.format('%.0f', math.min(tonumber(ARGV[5]), ms))

-- The first write is the one that Redis refuses when memory is out: so all is applied or
-- nothing. What has expired may go even then, else a full Redis would stay full.
local added = redis.pcall('XADD', KEYS[2], id, 'b', ARGV[6])
if type(added) == 'table' then
  if last then
    keep_from = string.format('%.0f', math.min(tonumber(ARGV[5]), tonumber(last_ms)))
    redis.call('XTRIM', KEYS[2], 'MINID', '~', keep_from)
  end
  return added
end
redis.call('XTRIM', KEYS[2], 'MINID', '~', keep_from)
redis.call('HSET', KEYS[1], 'seq', ARGV[3], 'lastid', id, 'by', writer)
return 'OK'
