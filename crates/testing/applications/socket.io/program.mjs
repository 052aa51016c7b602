// socket.io with the streams adapter: two servers share broadcasts through a stream, and a client that reconnects to
// the other server recovers its session and the missed events.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import Redis from 'ioredis';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { finish, host, port, saw, secret, step, until, versions } from './saw.mjs';

const start = async () => {
  const redis = new Redis({ host, port });
  const http = createServer();
  const server = new Server(http, {
    adapter: createAdapter(redis, {
      streamName: 'app:stream',
      sessionKeyPrefix: 'app:session:',
      channelPrefix: 'app:channel',
      blockTimeInMs: 200,
    }),
    connectionStateRecovery: { maxDisconnectionDuration: 600_000 },
    transports: ['websocket'],
  });
  server.on('connection', (socket) => {
    if (!socket.recovered) socket.data.name = secret(socket.handshake.auth.name);
    socket.join('news');
    socket.on('say', (text) => server.to('news').emit('said', text));
    socket.on('who', (answer) => answer(socket.data.name, socket.recovered));
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  return { redis, server, port: http.address().port };
};
const connect = async (at, name) => {
  const socket = io(`http://127.0.0.1:${at.port}`, { transports: ['websocket'], auth: { name } });
  socket.heard = [];
  socket.on('said', (text) => socket.heard.push(text));
  await once(socket, 'connect');
  return socket;
};
/** Breaks the connection, which is not reopened until requested. */
const cut = async (socket) => {
  socket.io.reconnection(false);
  const gone = once(socket, 'disconnect');
  socket.io.engine.close();
  await gone;
};

const [first, second] = [await start(), await start()];
const sessions = () => first.redis.keys('app:session:*');
const both = (count) => until(() => [ana, eva].every(({ heard }) => heard.length === count));
const [ana, eva] = [await connect(first, 'Ana'), await connect(second, 'Eva')];

versions('@socket.io/redis-streams-adapter', 'socket.io', 'ioredis');
await step('two servers', async () => {
  // Each has its subscription and reads the stream.
  await until(async () => {
    const clients = (await first.redis.client('LIST')).split('\n');
    const busy = (command) => clients.filter((line) => line.includes(` cmd=${command} `)).length;
    return busy('xread') >= 2 && busy('subscribe') >= 2;
  });
  await until(async () => (await first.server.in('news').fetchSockets()).length === 2);
  const names = (await second.server.fetchSockets()).map((socket) => socket.data.name);
  saw('the sockets of both', names.sort(), [secret('Ana'), secret('Eva')]);
});
await step('broadcasts', async () => {
  ana.emit('say', secret('hola'));
  await both(1);
  saw('it arrives at the other server', [ana.heard, eva.heard], [[secret('hola')], [secret('hola')]]);
  for (let i = 0; i < 20; i += 1) (i % 2 ? ana : eva).emit('say', secret(`mensaje ${i}`));
  await both(21);
  saw('many', [new Set(ana.heard).size, new Set(eva.heard).size], [21, 21]);
  second.server.emit('said', Buffer.from(secret('bytes')));
  await both(22);
  saw('bytes', [ana.heard[21].toString(), eva.heard[21].toString()], [secret('bytes'), secret('bytes')]);
});
await step('questions', async () => {
  second.server.on('question', (text, answer) => answer(`${text}?`));
  const answers = await first.server.serverSideEmitWithAck('question', secret('y'));
  saw('servers ask each other', answers, [`${secret('y')}?`]);
  for (const socket of [ana, eva]) socket.on('ask', (answer) => answer(secret(socket.auth.name)));
  const said = await first.server.to('news').timeout(60_000).emitWithAck('ask');
  saw('clients of both answer', said.sort(), [secret('Ana'), secret('Eva')]);
});
await step('a broken connection', async () => {
  await cut(eva);
  eva.io.uri = `http://127.0.0.1:${first.port}`;
  await until(async () => (await sessions()).length === 1);
  ana.emit('say', secret('mientras'));
  await until(() => ana.heard.length === 23);
  const back = once(eva, 'connect');
  eva.connect();
  await back;
  await until(() => eva.heard.length === 23);
  const who = await new Promise((done) => eva.emit('who', (...answer) => done(answer)));
  saw('its session is found at the other server', who, [secret('Eva'), true]);
  saw('with what it missed', eva.heard[22], secret('mientras'));
  saw('and only once', await sessions(), []);
});
await step('sessions that are kept', async () => {
  await Promise.all([ana, eva].map(cut));
  await until(async () => (await sessions()).length === 2);
});
finish();
