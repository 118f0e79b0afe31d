import Fastify from 'fastify';
const app = Fastify();
app.get('/ready', async () => ({ ok: true }));
await app.listen({ port: 3400, host: '0.0.0.0' });
