module.exports = { title: 'Handbook' };
