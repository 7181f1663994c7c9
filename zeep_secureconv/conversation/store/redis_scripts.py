"""What RedisStore has Redis do in one step, in Lua: nobody else sees the middle of it."""

from __future__ import annotations

#: What :data:`SWAP` answers besides 1 (done) and 0 (something else is there).
FENCED = -1
TOO_MANY = -2

#: Puts one record in the place of another, if that is what is there, and keeps the indexes in step.
#: KEYS: the record under the key of each secret, its flight likewise, then the indexes to leave and to enter,
#: and those in which its principal's records are counted.
#: ARGV: number of secrets, of indexes to leave, to enter; what must be there and what comes, each '' for nothing;
#: token of the flight or ''; time to live in ms or ''; now in ms; how many records of its principal there may be with
#: this one or ''; the scores in the indexes to enter: when it is no more what they list.
SWAP = """
local count, leave, enter = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local expected, value, token, life, now, most = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local at, found = KEYS[1], ''
for i = 1, count do
  local held = redis.call('GET', KEYS[i])
  if held then
    at, found = KEYS[i], held
    break
  end
end
if value ~= '' and found == value then return 1 end
if found ~= expected then return 0 end
if token ~= '' then
  for i = count + 1, 2 * count do
    local holder = redis.call('GET', KEYS[i])
    if holder and holder ~= token then return -1 end
  end
end
if most ~= '' then
  local others = 0
  for i = 2 * count + leave + enter + 1, #KEYS do
    others = others + redis.call('ZCOUNT', KEYS[i], '(' .. now, '+inf')
  end
  if others >= tonumber(most) then return -2 end
end
if found ~= '' then
  redis.call('DEL', at)
  for i = 2 * count + 1, 2 * count + leave do redis.call('ZREM', KEYS[i], at) end
end
if value ~= '' then
  if life == '' then redis.call('SET', KEYS[1], value) else redis.call('SET', KEYS[1], value, 'PX', life) end
  for index = 1, enter do
    local i = 2 * count + leave + index
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
    local left = redis.call('PTTL', KEYS[i])
    redis.call('ZADD', KEYS[i], ARGV[9 + index], KEYS[1])
    if life == '' then
      redis.call('PERSIST', KEYS[i])
    elseif left == -2 or (left >= 0 and left < tonumber(life)) then
      redis.call('PEXPIRE', KEYS[i], life)
    end
  end
end
return 1
"""

#: Takes a flight under all its names, if it is free or was ours already. ARGV: token, lease in ms.
TAKE = """
for i = 1, #KEYS do
  local holder = redis.call('GET', KEYS[i])
  if holder and holder ~= ARGV[1] then return 0 end
end
for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2]) end
return 1
"""

#: Gives a flight free, unless it is another one's by now. ARGV: token.
RELEASE = """
local count = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then count = count + redis.call('DEL', KEYS[i]) end
end
return count
"""

#: Remembers under the first name, unless it is there under any. ARGV: a random number, by which a command that was sent
#: again after a broken connection knows what is its own; time to live in ms.
REMEMBER = """
for i = 1, #KEYS do
  local holder = redis.call('GET', KEYS[i])
  if holder then return holder == ARGV[1] and 1 or 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
