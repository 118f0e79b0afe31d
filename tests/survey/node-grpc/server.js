const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const health = grpc.loadPackageDefinition(loader.loadSync('health.proto')).grpc.health.v1;
const PORT = process.env.PORT || 7000;
const server = new grpc.Server();
server.addService(health.Health.service, { check: (call, done) => done(null, { status: 'SERVING' }) });
server.bindAsync(`0.0.0.0:${PORT}`, grpc.ServerCredentials.createInsecure(), () => {});
