exports.handler = (req, res) => res.send('hello, world\n');
