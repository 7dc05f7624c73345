// Prints the RTP time of each capture time it is given, by the page's own code.
const { rtpTime } = await import(process.argv[2]);
console.log(JSON.stringify(process.argv.slice(3).map(rtpTime)));
